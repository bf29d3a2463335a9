"""Which step of a run was best: the curves of subject and prompts, and what is said of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from sfumato.data.subjects import unseen_subject
from sfumato.train.fidelity_curve import FidelityCurve


@pytest.fixture(scope="module")
def curve() -> FidelityCurve:
    return FidelityCurve("mini/clip", list(unseen_subject(0).pictures(4)), ["a painting of a woman"] * 2)


def test_the_subject_itself_is_nearer_than_another(curve):
    own, other = (curve(unseen_subject(number).pictures(2, skip=8)) for number in (0, 1))
    assert own["subject_fidelity"] > other["subject_fidelity"]
    assert -1 <= own["prompt_fidelity"] <= 1
    assert own["subject_fidelity"] == pytest.approx(curve.ceiling, abs=0.1)


def test_where_the_model_began_as_near_as_the_pictures_are_nothing_is_said(curve, tmp_path):
    lines = [{"step": n, "subject_fidelity": curve.ceiling + 0.01 * n, "prompt_fidelity": 0.3} for n in range(4)]
    (tmp_path / "scalars.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert curve.conclusion(tmp_path) == []


def test_a_subject_that_costs_the_prompts_is_not_the_best(curve, tmp_path):
    way = curve.ceiling - 0.2
    told = [(0, 0.0, 0.3), (100, 0.5, 0.3), (200, 0.8, 0.27), (300, 1.0, 0.15)]  # scores 0, 0.5, 0.72, 0.5
    lines = [{"step": 50, "loss": 1.0}]
    lines += [{"step": n, "subject_fidelity": 0.2 + share * way, "prompt_fidelity": p} for n, share, p in told]
    (tmp_path / "scalars.jsonl").write_text("\n".join(map(json.dumps, lines)))
    steps = curve.steps(tmp_path / "scalars.jsonl")
    assert np.allclose([each.score for each in steps], [0, 0.5, 0.72, 0.5])
    (said,) = curve.conclusion(tmp_path)
    assert said.startswith(
        "step 200 was best: 80 % of the way to the subject, prompts followed 90 % as well as before; "
        "step 300: 100 % of the way to the subject, prompts followed 50 % as well as before: --steps 200 may do"
    )
    assert Image.open(tmp_path / "fidelity.png").size == (480, 280)
    (tmp_path / "scalars.jsonl").write_text("\n".join(map(json.dumps, lines[:3])))
    assert curve.conclusion(tmp_path) == [], "two grids are no curve"
