from __future__ import annotations

import numpy as np
import pytest
import torch

from sfumato.data import vignettes
from sfumato.evaluate.attributes import drawn, names_of, score_attributes, through
from sfumato.evaluate.metrics import psnr
from sfumato.evaluate.questions import questions
from sfumato.space import Pixel

HELD = questions(60, 1_000_003, "held-out")


def test_what_is_read_rightly_everywhere_is_all_right():
    scores = score_attributes(HELD, [q.scene.attributes for q in HELD])
    for figure in (scores.stated, scores.captions, scores.pairs, scores.absent):
        assert figure.value == 1
    assert scores.captions.total == 60
    assert scores.stated.total == sum(len(q.stated) for q in HELD)
    assert scores.pairs.total >= 60


@pytest.mark.parametrize("name", ["subject", "style", "light", "place"])
def test_one_attribute_read_wrongly_costs_that_attribute_and_the_caption(name: str):
    verdicts = [dict(q.scene.attributes) for q in HELD]
    for verdict in verdicts[:15]:
        verdict[name] = next(v for v in vignettes.ATTRIBUTES[name] if v != verdict[name])
    scores = score_attributes(HELD, verdicts)
    assert scores.attributes[name].value == 0.75
    assert scores.captions.value == 0.75
    assert scores.stated.value == pytest.approx(1 - 15 / scores.stated.total)
    assert all(f.value == 1 for other, f in scores.attributes.items() if other != name and f.total)


def test_garments_that_nobody_asked_for_are_counted():
    verdicts = [dict(q.scene.attributes) for q in HELD]
    added = 0
    for verdict in verdicts:
        if verdict["hat"] == "none":
            verdict["hat"], added = "red", added + 1
    scores = score_attributes(HELD, verdicts)
    assert scores.absent.value == pytest.approx(1 - added / scores.absent.total)
    assert scores.captions.value == 1, "only what was said is asked of a caption"


def test_a_held_out_pair_needs_both_halves():
    for question in HELD:
        for part in vignettes.held_out_parts(question.scene.attributes):
            names = names_of(part, question)
            assert set(part) <= {question.wanted[name] for name in names} | set(names)
    boats = [q for q in HELD if q.scene["subject"] not in ("woman", "man")]
    verdicts = [{**q.scene.attributes, "subject": "woman"} for q in boats]
    assert score_attributes(boats, verdicts).pairs.value == 0


def test_true_pictures_are_those_of_the_world_at_any_size():
    x = drawn(HELD[:2], (64, 64))
    assert x.shape == (2, 3, 64, 64)
    image = vignettes.draw(HELD[1].scene, 64).image
    assert np.array_equal(((x[1].permute(1, 2, 0) + 1) * 127.5).round().byte().numpy(), image)
    assert drawn(HELD[:1], (96, 64)).shape == (1, 3, 64, 96)


def test_psnr_of_a_known_error():
    x = torch.zeros(2, 3, 8, 8)
    assert psnr(x, x + 0.2) == pytest.approx([20, 20], abs=1e-4)
    assert torch.equal(through(Pixel(), x, batch=1), x)
