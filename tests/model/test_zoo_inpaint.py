"""The built-in model that inpaints keeps what it is shown and paints what it is told, also where nothing is held."""

from __future__ import annotations

from itertools import islice

import inpainting
import numpy as np
import pytest
import torch

import sfumato
from sfumato.edit import Outside
from sfumato.evaluate.judge import Judge
from sfumato.evaluate.pairs import Pair
from sfumato.space.pixels import to_tensor
from sfumato.zoo import place

FOLDER = place("mini-inpaint")


@pytest.fixture(scope="module")
def cases() -> list[Pair]:
    return list(islice(inpainting.cases(max(sfumato.load("mini-inpaint").size)), 6))


@pytest.fixture(scope="module")
def filled(cases) -> list:
    """The holes filled, and nothing pasted."""
    pipe = sfumato.load("mini-inpaint")
    return [
        pipe(case.prompt, hold=Outside(case.hole, case.before), composite="none", steps=12, seed=i).image
        for i, case in enumerate(cases)
    ]


def test_it_keeps_what_it_is_shown_as_well_as_its_autoencoder_can(cases, filled):
    space = sfumato.load("mini-inpaint").stage.space
    for case, picture in zip(cases, filled, strict=True):
        outside = np.asarray(case.hole) == 0
        with torch.no_grad():
            best = space.decode(space.encode(to_tensor([case.before])))
        error = np.abs(np.asarray(picture, float) - np.asarray(case.before))[outside].mean()
        least = np.abs(((best[0].permute(1, 2, 0) + 1) * 127.5).clamp(0, 255).numpy() - case.before)[outside].mean()
        assert error < least + 12


def test_the_judge_sees_in_the_hole_what_was_asked(cases, filled):
    verdicts = Judge.load().predict(to_tensor(filled))
    read = zip(cases, verdicts, strict=True)
    right = [verdict[case.attribute] == case.scene[case.attribute] for case, verdict in read]
    assert sum(right) >= 4


def test_with_nothing_held_it_paints_what_it_is_told():
    pictures = sfumato.load("mini-inpaint")("a painting of a red balloon in the hills", steps=12, count=2).images
    assert [v["subject"] for v in Judge.load().predict(to_tensor(pictures))] == ["balloon"] * 2


def test_its_files_are_small():
    for path in FOLDER.rglob("*"):
        if path.is_file():
            assert path.stat().st_size < 16 << 20
            assert b"/work" not in path.read_bytes()[:4096] or path.suffix not in (".json", ".md")
