"""`sfumato evaluate --against` as a user runs it: its output, its refusals, and going on after a kill."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest
import warm

from sfumato.data import vignettes


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_a_killed_run_goes_on_and_tells_one_report(place: Path, tiny_model: Path):
    asked = (
        "-m", "sfumato", "evaluate", tiny_model, "--against", "vignettes", "--count", 24, "--reference", 8,
        "--batch", 2, "--steps", 1, "--metrics", "fid,recall", "--resamples", 3, "--json", "-o", "out",
    )  # fmt: skip
    pictures = place / "out" / "pictures"
    with warm.start(*asked) as first:
        until = time.monotonic() + 240
        while len(list(pictures.glob("*.png"))) < 2:
            assert first.poll() is None, first.err
            assert time.monotonic() < until
            time.sleep(0.02)
        first.kill()
        assert first.wait() == -signal.SIGKILL
    stamps = {path.name: path.stat().st_mtime_ns for path in pictures.glob("*.png")}

    done = warm.run(*asked)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert {path.name for path in pictures.glob("*.png")} == {f"{i:06d}.png" for i in range(24)}
    assert all((pictures / name).stat().st_mtime_ns == stamp for name, stamp in stamps.items())
    assert [(each["name"], each["features"], each["total"]) for each in report["metrics"]] == [
        ("fid", "vignettes-features", 24),
        ("recall", "vignettes-features", 24),
    ]
    assert (place / "out" / "report.html").is_file()


def test_two_folders_by_their_table(place: Path, capfd: pytest.CaptureFixture):
    vignettes.export(place / "a", 6, seed=1, size=32, truth=False)
    vignettes.export(place / "b", 7, seed=2, size=32, truth=False)
    from sfumato.cli.app import run_command

    asked = ["--pictures", "a", "--against", "b", "--features", "vignettes-features", "--resamples", "0"]
    assert run_command(["evaluate", *asked]) == 0
    said = capfd.readouterr().out
    assert "FID ↓" in said
    assert said.splitlines()[-1] == "out/a-against-b/report.html"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--pictures a", "--pictures goes with --against"),
        ("--metrics fid", "--metrics goes with --against"),
        ("--against nowhere --pictures b --features vignettes-features", "There is no folder nowhere"),
        ("--against vignettes --pictures a", "There is no folder a"),
        ("--against vignettes --metrics fidd", "did you mean"),
        ("--against vignettes --features clip:nowhere/at/all", "no folder with a config.json"),
        ("--against nowhere.npz --features inception:none.pth", "There is no file none.pth"),
        ("--against vignettes --count 0", "--count is 0"),
        ("--against vignettes --sampler best", "sampler"),
        ("--against vignettes --split sen --pictures b", "--split sen is unknown"),
        ("none --against vignettes", "no model called"),
    ],
)
def test_bad_input_is_one_sentence_and_status_two(place: Path, capfd: pytest.CaptureFixture, arguments, said):
    from sfumato.cli.app import run_command

    vignettes.export(place / "b", 5, seed=2, size=32, truth=False)
    assert run_command(["evaluate", *arguments.split()]) == 2
    heard = capfd.readouterr()
    assert said in heard.err
    assert (heard.out, heard.err.count("\n")) == ("", 1)
    assert not (place / "out").exists()
