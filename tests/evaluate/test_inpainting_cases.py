"""The inpainting benchmark asks what can be answered, and measures nothing but what lies where it says."""

from __future__ import annotations

from itertools import islice

import inpainting
import numpy as np
import pytest
from PIL import Image

from sfumato.data.vignettes import held_out
from sfumato.evaluate.judge import Judge
from sfumato.evaluate.pairs import Pair


@pytest.fixture(scope="module")
def asked() -> list[Pair]:
    return list(islice(inpainting.cases(64), 16))


def test_the_hole_covers_what_differs_and_the_prompt_names_it(asked):
    for case in asked:
        value, outside = case.scene[case.attribute], np.asarray(case.hole) == 0
        assert value in case.prompt
        assert not held_out(case.scene)
        change = np.abs(np.asarray(case.before, int) - np.asarray(case.after, int))
        assert change[~outside].mean() > 5 * change[outside].mean()
        assert 0.01 < 1 - outside.mean() < 0.8
    assert len({case.attribute for case in asked}) > 1


def test_true_pictures_answer_and_pictures_left_alone_do_not(asked):
    judge = Judge.load()
    before, after = ([getattr(case, name) for case in asked] for name in ("before", "after"))
    alone, true = inpainting.measured(judge, asked, before, 8.0), inpainting.measured(judge, asked, after, 8.0)
    assert alone["asked"].value < 0.1
    assert true["asked"].value > 0.9
    assert alone["others"].value > 0.8
    assert (alone["largest"], alone["mean"].value, alone["seconds"]) == (0, 0, 0.5)


def test_one_pixel_outside_is_found_and_all_that_is_inside_is_not(asked):
    pictures = [np.array(case.before) for case in asked]
    for case, picture in zip(asked, pictures, strict=True):
        picture[np.asarray(case.hole) > 0] = 0
    judge = Judge.load()
    assert inpainting.measured(judge, asked, [Image.fromarray(p) for p in pictures], 1.0)["largest"] == 0
    row, column = np.argwhere(np.asarray(asked[3].hole) == 0)[0]
    pictures[3][row, column, 1] ^= 4
    assert inpainting.measured(judge, asked, [Image.fromarray(p) for p in pictures], 1.0)["largest"] == 4
