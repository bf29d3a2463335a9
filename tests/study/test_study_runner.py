"""The runner: what is kept is kept, whatever ends the process; and what the command line says."""

import csv
import runpy
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import warm

from sfumato import study
from sfumato.picture import BadInput
from sfumato.study import STUDIES, runner
from sfumato.study.cell_cache import CellCache
from sfumato.study.sources import reached
from sfumato.study.study import Cell

SMALL = ["pictures=8", "size=8", "knots=20"]


def found(tick, value):
    tick(1, 1)
    return {"value": np.float64(value)}


def twice(tick, before, power):
    return {"value": (2 * before["value"]) ** power}


def broken(tick):
    raise KeyboardInterrupt


def chain(value, power=1):
    return [Cell("first", found, {"value": value}), Cell("second", twice, {"power": power}, ("first",))]


def kept(folder):
    return {path.name: path.stat().st_mtime_ns for path in (folder / "cells").iterdir()}


def test_results_are_handed_on_and_kept(tmp_path):
    results = runner.work("a", chain(3.0, 2), tmp_path, progress=False)
    assert (float(results["first"]["value"]), float(results["second"]["value"])) == (3.0, 36.0)
    before = kept(tmp_path)
    again = runner.work("a", chain(3.0, 2), tmp_path, progress=False)
    assert kept(tmp_path) == before
    assert float(again["second"]["value"]) == 36.0


@pytest.mark.parametrize(
    ("study", "cells", "fresh"), [("a", chain(3.0, 3), 1), ("a", chain(4.0, 2), 2), ("b", chain(3.0, 2), 2)]
)
def test_a_cell_is_done_again_when_anything_that_it_depends_on_differs(tmp_path, study, cells, fresh):
    runner.work("a", chain(3.0, 2), tmp_path, progress=False)
    results = runner.work(study, cells, tmp_path, progress=False)
    assert len(kept(tmp_path)) == 2 + fresh
    assert float(results["second"]["value"]) == (2 * cells[0].arguments["value"]) ** cells[1].arguments["power"]


def test_a_cell_is_done_again_when_its_own_words_differ(tmp_path):
    def changed(tick, value):
        return {"value": np.float64(value + 1)}

    changed.__qualname__ = found.__qualname__
    runner.work("a", [Cell("first", found, {"value": 3.0})], tmp_path, progress=False)
    results = runner.work("a", [Cell("first", changed, {"value": 3.0})], tmp_path, progress=False)
    assert float(results["first"]["value"]) == 4.0


def test_seconds_that_a_cell_measured_itself_are_its_own(tmp_path):
    cells = [Cell("timed", lambda tick: {"seconds": 0.25}), Cell("untimed", lambda tick: {"value": 1.0})]
    results = runner.work("a", cells, tmp_path, progress=False)
    assert results["timed"]["seconds"] == 0.25
    assert results["untimed"]["seconds"] >= 0


def test_a_damaged_cell_is_done_again_and_remains_of_a_killed_process_go(tmp_path):
    runner.work("a", chain(3.0), tmp_path, progress=False)
    damaged = next((tmp_path / "cells").glob("first-*"))
    damaged.write_bytes(damaged.read_bytes()[:-40])
    (tmp_path / "cells" / ".first.0123.part").write_bytes(b"half")
    assert float(runner.work("a", chain(3.0), tmp_path, progress=False)["first"]["value"]) == 3.0
    assert [path.name[:2] for path in sorted((tmp_path / "cells").iterdir())] == ["fi", "se"]
    assert CellCache(tmp_path / "cells", "a").read(chain(3.0)[0]) is not None


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-40], lambda b: b"", lambda b: b[:30] + b"x" + b[31:], lambda b: b + b"x"]
)
def test_any_damage_of_a_cell_is_seen_and_named(tmp_path, capsys, damage):
    runner.work("a", chain(3.0), tmp_path, progress=False)
    cell = next((tmp_path / "cells").glob("first-*"))
    whole = cell.read_bytes()
    cell.write_bytes(damage(whole))
    results = runner.work("a", chain(3.0), tmp_path, progress=False)
    assert float(results["first"]["value"]) == 3.0
    assert f"{cell} is damaged" in capsys.readouterr().err
    assert results.cache.read(chain(3.0)[0])["value"] == 3.0


def test_a_cell_is_done_again_when_code_that_it_reaches_differs(tmp_path, monkeypatch):
    """A helper in another module, reached by an import inside a function and a name in a string, counts; what is not
    reached does not."""
    home = tmp_path / "guest"
    home.mkdir()
    files = {
        "__init__": "",
        "cells": "def work(tick):\n    from guest.helper import value\n    return {'value': value()}\n",
        "helper": "from . import deep\n\ndef value():\n    return deep.NUMBER\n",
        "deep": "NUMBER = 1.0\n",
        "apart": "NUMBER = 1.0\n",
    }
    for name, text in files.items():
        (home / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    cell = Cell("guest", import_module("guest.cells").work)

    def key() -> str:
        return CellCache(tmp_path / "cells", "a").path(cell).name

    first = key()
    (home / "apart.py").write_text("NUMBER = 2.0\n")
    assert key() == first
    (home / "deep.py").write_text("NUMBER = 2.00\n")
    second = key()
    assert second != first
    (home / "helper.py").write_text(files["helper"] + "\n")
    assert key() not in (first, second)


def test_what_a_study_reaches_is_found_by_imports_and_by_the_registries_names():
    whole = reached("sfumato.study.measured_samples")
    assert {"sfumato.evaluate.metrics.kernel", "sfumato.evaluate.features.clip_dinov2", "sfumato.sample.heun"} <= whole
    assert "sfumato.cli.app" not in whole
    assert "sfumato.study.swiss_roll" not in whole


def test_an_interrupt_says_what_is_kept(tmp_path, capsys):
    with pytest.raises(KeyboardInterrupt):
        runner.work("a", [*chain(3.0), Cell("third", broken)], tmp_path, progress=False)
    assert "2 of 3 cells are kept" in capsys.readouterr().err
    assert len(kept(tmp_path)) == 2


TOY = Path(__file__).with_name("toy_study.py")


@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGINT])
def test_a_study_that_is_ended_goes_on_where_it_stopped(tmp_path, way, monkeypatch, capsys):
    with warm.start(TOY, tmp_path, 0.4) as process:
        process.until("0\n1\n2\n")
        process.kill(way)
        process.wait()
        assert ("2 of 5 cells are kept" in process.err) == (way == signal.SIGINT)
    before = kept(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(TOY), str(tmp_path), "0"])
    runpy.run_path(str(TOY), run_name="__main__")
    assert capsys.readouterr().out.split() == ["2", "3", "4"]
    assert before.items() <= kept(tmp_path).items()


def test_a_study_leaves_figures_a_table_and_a_page_that_needs_nothing_else(tmp_path):
    page = study.run("schedules", out=tmp_path, settings=SMALL, progress=False)
    assert page == tmp_path / "index.html"
    assert {path.name for path in tmp_path.iterdir()} == {
        "cells", "curves.png", "strips.png", "wasted.png", "table.csv", "index.html"
    }  # fmt: skip
    with open(tmp_path / "table.csv", newline="") as file:
        assert [row["schedule"] for row in csv.DictReader(file)][:2] == ["linear", "cosine"]
    text = page.read_text()
    assert text.count('src="data:image/png;base64,') == text.count("<img") == 3
    assert "http" not in text
    assert "sfumato study schedules" in text


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("picture=3", "did you mean 'pictures'"),
        ("pictures", "KEY=VALUE"),
        ("pictures=0", "2 to 20,000"),
        ("pictures=[", "list"),
    ],
)
def test_wrong_settings_are_refused_in_a_sentence(setting, words):
    with pytest.raises(BadInput, match=words.replace("[", r"\[")):
        study.run("schedules", settings=[setting])


def test_a_model_where_none_is_looked_at_is_refused():
    with pytest.raises(BadInput, match="looks at no model"):
        study.run("schedules", model="mini")


def test_every_study_is_there():
    for name in STUDIES:
        study = STUDIES[name]
        assert all((study.title, study.source, study.about, study.see)), name
        assert type(study.full) is type(study.quick), name
        assert study.full != study.quick, name


def test_the_command_line_names_studies_and_the_nearest_one():
    def call(*arguments):
        return warm.run("-m", "sfumato", "study", *arguments)

    listed = call("--list")
    assert [line.split()[0] for line in listed.stdout.splitlines()] == sorted(STUDIES)
    wrong = call("schedule")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "did you mean 'schedules'" in wrong.stderr
    assert call().returncode == 2


def test_help_loads_no_torch():
    code = (
        "import sys\nfrom sfumato.cli.app import run_command\nrun_command(['study', '--help'])\n"
        "assert not {'torch', 'matplotlib', 'numpy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
