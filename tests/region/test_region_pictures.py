"""Regions in a run: where they change nothing not a bit changes, and they go with every other part of a recipe."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import sfumato
from sfumato import Region
from sfumato.picture import BadInput
from sfumato.recipe import Recipe

METHODS = ("attention", "mixing")
LEFT, RIGHT, ALL = (0, 0, 0.5, 1), (0.5, 0, 1, 1), (0, 0, 1, 1)


@pytest.fixture(scope="module")
def pipe(tiny_model) -> sfumato.Pipe:
    return sfumato.load(tiny_model, engine="exact")


def pixels(pipe: sfumato.Pipe, prompt: str = "a boat", **options) -> np.ndarray:
    return np.stack([np.asarray(image) for image in pipe(prompt, steps=2, seed=3, **options).images]).astype(int)


@pytest.mark.parametrize("method", METHODS)
def test_regions_that_say_nothing_new_change_no_bit(pipe, method):
    plain = pixels(pipe)
    empty = Image.new("L", (40, 20))
    for regions in (
        [Region("a boat", box=ALL)],
        [Region("a cat", empty)],
        [Region("a cat", box=ALL, weight=0)],
        [Region("a boat", box=LEFT), Region("a boat", box=RIGHT)],
    ):
        assert np.array_equal(pixels(pipe, regions=regions, regional=method), plain)


@pytest.mark.parametrize("method", METHODS)
def test_one_region_that_is_all_of_the_picture_is_its_prompt(pipe, method):
    cat = pixels(pipe, "a cat")
    found = pixels(pipe, regions=[Region("a cat", Image.new("L", (8, 8), 255))], regional=method)
    assert np.abs(found - cat).max() <= (0 if method == "mixing" else 1)
    assert np.abs(cat - pixels(pipe)).max() > 3


@pytest.mark.parametrize("method", METHODS)
def test_a_mask_is_its_box_and_the_negative_prompt_is_of_the_whole(pipe, method):
    regions = [Region("a cat", box=LEFT), Region("a (red:1.3) [cat:dog:0.5]", box=RIGHT)]
    mask = Image.new("L", (32, 32))
    mask.paste(255, (0, 0, 16, 32))
    drawn = [Region("a cat", mask), regions[1]]
    made = pixels(pipe, regions=regions, regional=method)
    assert np.array_equal(pixels(pipe, regions=drawn, regional=method), made)
    unasked = {"guidance": [sfumato.ClassifierFree(0.0)], "negative": "a tree"}
    known = pixels(pipe, **unasked)
    assert np.abs(pixels(pipe, regions=regions, regional=method, **unasked) - known).max() <= 1


@pytest.mark.parametrize("method", METHODS)
def test_a_picture_is_the_same_alone_and_in_a_batch(pipe, method):
    options = {"regions": [Region("a cat", box=LEFT, weight=0.7)], "regional": method}
    both = pipe.run([*pipe.recipes("a boat", steps=2, count=2, **options), *pipe.recipes("a tree", steps=2, **options)])
    again = pipe.run(both.recipes[1])
    assert np.array_equal(np.asarray(both.images[1]), np.asarray(again.image))
    assert Recipe.from_json(both.recipes[1].to_json()) == both.recipes[1]


@pytest.mark.parametrize(
    "options",
    [
        {"guidance": [sfumato.ClassifierFree(3.0), sfumato.PerturbedAttention(2.0)], "sampler": "heun"},
        {"guidance": [sfumato.CFGPlusPlus(0.6)], "sampler": "ddim"},
        {"guidance": [sfumato.ProjectedGuidance(4.0)], "area": sfumato.Crop(2), "sampler": "unipc"},
        {"guidance": [], "sampler": "ddpm", "composite": "poisson"},
        {"guidance": [sfumato.ClassifierFree(3.0)], "start": "inverted"},
    ],
    ids=["two guidances", "cfg++", "cropped", "none", "null text"],
)
def test_regions_go_with_holds_starts_guidances_and_samplers(pipe, options):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 48, 3), np.uint8))
    mask = Image.new("L", (48, 48))
    mask.paste(255, (8, 8, 32, 40))
    edit = {"start": sfumato.SDEdit(picture, 0.8), "hold": sfumato.Outside(mask)}
    if options.get("start") == "inverted":
        options = {**options, "start": sfumato.Inverted(picture, 0.6, refine=0, null=1)}
    edit = {**edit, **options}
    plain = pixels(pipe, **edit)
    regions = [Region("a cat", box=LEFT), Region("a tree", mask, weight=0.5)]
    outside = np.asarray(mask) == 0
    for method in METHODS:
        made = pixels(pipe, **edit, regions=regions, regional=method)
        assert np.array_equal(made[0][outside], np.asarray(picture)[outside]), method
        assert not np.array_equal(made, plain), method


def test_mixing_goes_with_joined_prompts_and_attention_says_that_it_does_not(pipe):
    regions = [Region("a cat AND a dog :0.5", box=LEFT)]
    assert not np.array_equal(pixels(pipe, regions=regions, regional="mixing"), pixels(pipe))
    with pytest.raises(BadInput, match=r"without AND, or give regional='mixing'"):
        pixels(pipe, regions=regions, regional="attention")
