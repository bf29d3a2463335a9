"""The benchmarks run, and compare like with like."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import grids
import numpy as np
import pytest
from random_model import TINY, build

import sfumato
from sfumato.evaluate.questions import questions
from sfumato.space.pixels import to_images

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.slow
def test_against_diffusers_compares_the_same_work(tmp_path: Path):
    model = build(tmp_path / "model", shape=TINY)
    given = ["--model", str(model), "--batches", "2", "--repeats", "1", "--steps", "3", "--threads", "1", "--json"]
    ran = subprocess.run([sys.executable, BENCHMARKS / "against_diffusers.py", *given], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
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
