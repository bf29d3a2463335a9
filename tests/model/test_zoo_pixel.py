"""The built-in model of pixels paints what it is told, and keeps what is held to the pixel."""

from __future__ import annotations

from itertools import islice

import inpainting
import numpy as np

import sfumato
from sfumato.edit import Outside
from sfumato.evaluate.judge import Judge
from sfumato.space.pixels import to_tensor
from sfumato.zoo import place

FOLDER = place("mini-pixel")


def test_the_judge_sees_what_was_asked():
    pipe = sfumato.load("mini-pixel")
    prompts = {"a painting of a red house in the snow": "house", "a painting of a blue boat on the sea": "boat"}
    pictures = [picture for prompt in prompts for picture in pipe(prompt, count=4).images]
    verdicts = [verdict["subject"] for verdict in Judge.load().predict(to_tensor(pictures))]
    right = [said == asked for said, asked in zip(verdicts, ["house"] * 4 + ["boat"] * 4, strict=True)]
    assert sum(right) >= 6


def test_holes_are_filled_as_asked_and_nothing_else_is_touched_though_nothing_is_pasted():
    pipe, right = sfumato.load("mini-pixel"), 0
    for i, case in enumerate(islice(inpainting.cases(64), 6)):
        picture = pipe(case.prompt, hold=Outside(case.hole, case.before), composite="none", steps=12, seed=i).image
        outside = np.asarray(case.hole) == 0
        assert np.array_equal(np.asarray(picture)[outside], np.asarray(case.before)[outside])
        [verdict] = Judge.load().predict(to_tensor([picture]))
        right += verdict[case.attribute] == case.scene[case.attribute]
    assert right >= 4


def test_its_files_are_small():
    for path in FOLDER.rglob("*"):
        if path.is_file():
            assert path.stat().st_size < 16 << 20
            assert b"/work" not in path.read_bytes()[:4096] or path.suffix not in (".json", ".md")
