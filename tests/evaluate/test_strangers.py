"""A stranger's metric, features and study: one file outside the package, found by name like any other."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import warm
from PIL import Image

from sfumato.cli.app import run_command
from sfumato.evaluate.metric import METRICS
from sfumato.evaluate.metrics.frechet import Moments, frechet

PLUGIN = """
import numpy as np
import torch
from matplotlib.figure import Figure

from sfumato.evaluate.features.extractor import FEATURES, Extractor
from sfumato.evaluate.metric import METRICS, FeatureMetric, ModelMetric, PairMetric, resampled
from sfumato.element import Whole, element
from sfumato.study.study import STUDIES, Cell, Drawing, Report, Study


def gap(generated, real, weights):
    means = weights @ generated / weights.sum(1, keepdims=True)
    return np.linalg.norm(means - real.mean(0), axis=1)


METRICS.add("mean-gap", FeatureMetric(title="gap of means", better="lower", source="Doe", statistic=resampled(gap)))
METRICS.add("first-pixel", PairMetric(title="first pixel", better="lower", source="Doe 2025",
                                      load=lambda weights: (lambda x, y: (x - y)[:, 0, 0, 0].abs(), "one pixel")))
FEATURES.add("colour", lambda name, weights: Extractor(
    name, "the mean colour", lambda x: {"pool": x.mean((2, 3))}, "0123456789abcdef"))


@element
class Settings:
    count: Whole = 3


def counted(tick, count):
    return {"numbers": np.arange(count)}


def draw(settings, results):
    figure = Figure()
    figure.subplots().plot(results["numbers"]["numbers"])
    return Report([Drawing("line", figure, "numbers")], [{"last": int(results["numbers"]["numbers"][-1])}])


STUDIES.add("counting", Study(
    title="Counting", summary="how far it goes", source="Doe 2025", about="Numbers.", see=("a line",),
    full=Settings(), quick=Settings(count=2), draw=draw,
    cells=lambda s, model: [Cell("numbers", counted, {"count": s.count})],
))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of Python's path with an installed distribution that names the plugin as its entry point."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "stranger.py").write_text(PLUGIN)
    about = folder / "stranger-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[sfumato.plugins]\nstranger = stranger\n")
    return folder


def sets(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (folder / name).mkdir()
        for i in range(6):
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / name / f"{i}.png")


SAID = """
import contextlib, io, json, sys
from sfumato.cli.app import run_command
from sfumato.element.registry import load_plugins
sys.path.insert(0, sys.argv[1])
load_plugins.cache_clear()  # the warm server may have looked for them
said = []
for command in json.loads(sys.argv[2]):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        status = run_command(command)
    assert status == 0, command
    said.append(out.getvalue())
print(json.dumps(said))
"""


def commands(site: Path, place: Path, *lines: list[str]) -> list[str]:
    """What commands print, one after the other in a process of its own."""
    script = place / "said.py"
    script.write_text(SAID)
    done = warm.run(script, site, json.dumps(lines), cwd=place)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_an_installed_stranger_is_used_by_name_on_the_command_line(site: Path, tmp_path: Path, monkeypatch):
    sets(tmp_path)
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))
    asked = ["--pictures", "a", "--against", "b", "--features", "colour", "--metrics", "mean-gap,first-pixel,fid"]
    measured, words, listed, page = commands(
        site,
        tmp_path,
        ["evaluate", *asked, "--resamples", "5", "--json"],
        ["evaluate", "--help"],
        ["study", "--list"],
        ["study", "counting", "--set", "count=5"],
    )
    report = json.loads(measured)
    found = {each["name"]: each for each in report["metrics"]}
    assert {name: each["features"] for name, each in found.items()} == {
        "mean-gap": "colour", "fid": "colour", "first-pixel": "one pixel"
    }  # fmt: skip
    a, b = (
        np.stack([np.asarray(Image.open(path)) / 127.5 - 1 for path in sorted((tmp_path / name).iterdir())])
        for name in ("a", "b")
    )
    assert found["mean-gap"]["value"] == pytest.approx(np.linalg.norm(a.mean((0, 1, 2)) - b.mean((0, 1, 2))), rel=1e-4)
    assert found["mean-gap"]["low"] < found["mean-gap"]["value"] < found["mean-gap"]["high"]
    assert found["first-pixel"]["value"] == pytest.approx(np.abs(a - b)[:, 0, 0, 0].mean(), rel=1e-4)
    assert found["fid"]["value"] == pytest.approx(frechet(*(Moments.of(x.mean((1, 2))) for x in (a, b))), rel=1e-4)

    assert "mean-gap" in words
    assert "colour" in words
    assert "{sfumato" not in words
    assert "counting" in listed
    assert Path(tmp_path, page.strip()).is_file()
    assert (tmp_path / "studies" / "counting" / "table.csv").read_text() == "last\n4\n"


def test_the_help_names_every_metric_and_forgets_a_removed_one(capfd):
    assert run_command(["evaluate", "--help"]) == 0
    words = "".join(capfd.readouterr().out.split())
    for name in METRICS:
        assert name.replace(" ", "") in words.replace("│", ""), name
    METRICS.add("toy", METRICS["fid"])
    METRICS.remove("toy")
    assert run_command(["evaluate", "--against", "vignettes", "--metrics", "toy"]) == 2
    assert "the metric 'toy' is unknown" in capfd.readouterr().err


def test_the_help_of_other_commands_loads_no_registry():
    code = (
        "import sys\nfrom sfumato.cli.app import run_command as run\nrun(['--help'])\nrun(['study', '--help'])\n"
        "assert not {'torch', 'numpy', 'scipy', 'matplotlib'} & set(sys.modules)\n"
        "run(['evaluate', '--help'])\nassert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
