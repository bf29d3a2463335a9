"""The benchmarks run, and compare like with like."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from random_model import TINY, build

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_against_diffusers_compares_the_same_work(tmp_path: Path):
    model = build(tmp_path / "model", shape=TINY)
    given = ["--model", str(model), "--batches", "1", "2", "--repeats", "1", "--steps", "3", "--threads", "1", "--json"]
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
