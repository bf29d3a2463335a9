"""The benchmarks run, and compare like with like."""

from __future__ import annotations

import json
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import against_diffusers
import grids
import numpy as np
import pytest
import warm

import sfumato
from sfumato.evaluate.questions import questions
from sfumato.space.pixels import to_images

THROUGH_PIPES = """
import os, runpy, sys
for number, (path, mode) in enumerate(zip(sys.argv[1:3], (os.O_RDONLY, os.O_WRONLY))):
    os.dup2(os.open(path, mode), number)
sys.stdin, sys.argv = open(0), sys.argv[3:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture
def popen(tmp_path: Path):
    """subprocess.Popen for programs that need not import what a warm server has."""
    script = tmp_path / "through_pipes.py"
    script.write_text(THROUGH_PIPES)
    with ExitStack() as running:

        def start(command: list[str], env: dict[str, str], **_: object) -> SimpleNamespace:
            pipes = [tmp_path / f"{len(list(tmp_path.iterdir()))}-{way}" for way in ("in", "out")]
            for pipe in pipes:
                os.mkfifo(pipe)
            program = running.enter_context(warm.start(script, *pipes, *command[1:], env=env))
            stdin, stdout = (running.enter_context(pipe.open(mode)) for pipe, mode in zip(pipes, "wr", strict=True))
            return SimpleNamespace(args=command, stdin=stdin, stdout=stdout, wait=program.wait)

        yield start


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_against_diffusers_compares_the_same_work(tiny_model: Path, popen, monkeypatch, capsys):
    given = ["--model", str(tiny_model), "--batches", "2", "--repeats", "1", "--steps", "3", "--threads", "1", "--json"]
    monkeypatch.setattr(against_diffusers, "subprocess", SimpleNamespace(Popen=popen, PIPE=None))
    monkeypatch.setattr(sys, "argv", ["against_diffusers.py", *given])
    against_diffusers.main()
    found = json.loads(capsys.readouterr().out)
    assert found["steps"] == 3
    for result in found["batches"].values():
        assert result["largest_difference_of_a_pixel"] <= 1
        for contender in (result["sfumato"], result["diffusers"]):
            assert contender["unet_calls"] == 3
            assert 0 < contender["network_seconds_per_picture"] < contender["seconds_per_picture"]
            assert 100 < contender["peak_mib"] < 4000


def test_grids_paints_what_the_pipe_paints(tiny_model):
    pipe, asked = sfumato.load(tiny_model), questions(2, 1, "any")
    latents = grids.latents(pipe, ("unipc", "log-snr", 3), asked, 5.0)
    for i, image in enumerate(to_images(pipe.stages[-1].space.decode(latents))):
        theirs = pipe(asked[i].caption, sampler="unipc", times="log-snr", steps=3, seed=i).image
        assert np.abs(np.asarray(image).astype(int) - np.asarray(theirs)).max() <= 1
    assert list(grids.cases(["ddim"], ["uniform", "karras"], 20, 100)) == [
        ("ddim", "uniform", 20), ("ddim", "karras", 20), ("ddim", "uniform", 100)
    ]  # fmt: skip
