"""Where words look: in a run, in a given picture, and whether it is the thing that they name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import sfumato
from sfumato.edit import PromptToPrompt
from sfumato.model.look import look_attention
from sfumato.picture import BadInput
from sfumato.recipe import Recipe


@pytest.fixture(scope="module")
def pipe(tiny_model):
    return sfumato.load(str(tiny_model))


@pytest.fixture
def recipe(pipe):
    return Recipe("a red boat, by the sea", model=pipe.name, steps=2, seed=3)


def test_a_run_is_looked_at_without_changing_it(pipe, recipe):
    looked = look_attention(pipe, recipe)
    assert looked.words == ("a", "red", "boat", "by", "the", "sea")
    assert looked.image.tobytes() == pipe.run(recipe).image.tobytes()
    assert looked.maps.shape == (6, 8, 8)
    assert bool((looked.maps > 0).all())
    assert bool((looked.maps.sum(0) < 1).all())  # the rest goes to the comma, to the first, last and padding tokens
    assert looked.sheet(4).size == (4 * 128, 2 * (128 + 16))


def test_a_given_picture_is_looked_at_once_at_the_models_size(pipe, recipe):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    early, late = (look_attention(pipe, recipe, picture, t) for t in (0.2, 0.9))
    assert early.image.size == pipe.size
    assert not torch.equal(early.maps, late.maps)
    assert torch.equal(early.maps, look_attention(pipe, recipe, picture, 0.2).maps)


@pytest.mark.parametrize(
    ("changes", "t", "said"),
    [
        ({"prompt": " , "}, 0.5, "no words"),
        ({}, 0.0, "above 0 and up to 1"),
        ({"attention": PromptToPrompt("a boat")}, 0.5, "none of its own"),
    ],
)
def test_what_cannot_be_looked_at_is_said(pipe, recipe, changes, t, said):
    with pytest.raises(BadInput, match=said):
        look_attention(pipe, replace(recipe, **changes), None, t)


def test_models_without_words_have_none(pixel_model):
    pixels = sfumato.load(str(pixel_model(how="time")))
    with pytest.raises(BadInput, match="reads no words"):
        look_attention(pixels, Recipe(model=pixels.name, label="boat"))


def test_mini_looks_for_a_thing_where_it_is():
    """In a drawn vignette, whose jacket is known to the pixel."""
    from sfumato.data import vignettes
    from sfumato.evaluate.questions import ask

    scene = next(s for i in range(1000) if (s := vignettes.scene(7, i))["jacket"] == "red" and s["style"] == "flat")
    drawn = vignettes.draw(scene, 64)
    assert drawn.semantic is not None
    looked = look_attention(sfumato.load("mini"), Recipe(ask(scene).caption), Image.fromarray(drawn.image), 0.6)
    jacket = torch.from_numpy(drawn.semantic == vignettes.SEMANTIC_NAMES.index("jacket")).float()
    there = torch.nn.functional.avg_pool2d(jacket[None], 64 // looked.maps.shape[-1])[0]
    seen = looked.maps[looked.words.index("jacket")]
    inside, outside = (float((seen * w).sum() / w.sum()) for w in (there, 1 - there))
    assert inside > 2 * outside
