"""A size of other proportions than the picture's shows the model a part of it; nothing is squeezed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

import sfumato
from sfumato.edit import Between, Crop, Outside, SDEdit
from sfumato.model.look import look_attention
from sfumato.model.run import bind
from sfumato.picture import BadInput, PictureWarning
from sfumato.recipe import Recipe

LANCZOS = Image.Resampling.LANCZOS
WIDE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (70, 110, 3), dtype=np.uint8))
SQUARE = {"width": 32, "height": 32}


@pytest.fixture(scope="module")
def pipe(tiny_model) -> sfumato.Pipe:
    return sfumato.load(tiny_model)


def masked(box: tuple[int, int, int, int], **options) -> Recipe:
    mask = Image.new("L", WIDE.size)
    ImageDraw.Draw(mask).rectangle(box, fill=255)
    return Recipe(start=SDEdit(WIDE, 0.7), hold=Outside(mask), steps=2, **options)


def test_of_a_whole_picture_the_middle_is_edited_and_comes_back(pipe):
    result = pipe.run(Recipe(start=SDEdit(WIDE, 0.0), **SQUARE))
    assert result.image.tobytes() == WIDE.crop((20, 0, 90, 70)).resize((32, 32), LANCZOS).tobytes()
    assert result.recipe.area == Crop(box=(20, 0, 90, 70))
    resolved = pipe.resolve(result.recipe)
    assert replace(resolved, made=None) == replace(result.recipe, made=None), "redo sees the same part"


def test_a_size_of_the_pictures_own_proportions_shows_all_of_it(pipe):
    for width, height in ((32, 20), (48, 32), (96, 60), (80, 52)):
        resolved = pipe.resolve(Recipe(start=SDEdit(WIDE), width=width, height=height))
        assert resolved.area is None, (width, height)


@pytest.mark.parametrize("area", [None, Crop(30)])
def test_around_a_mask_the_largest_part_that_fits_is_shown_and_the_rest_stays(pipe, area):
    result = pipe.run(masked((85, 10, 105, 60), area=area, **SQUARE))
    assert result.recipe.area.box == (40, 0, 110, 70)
    assert result.image.size == WIDE.size
    inside = np.zeros((70, 110), bool)
    inside[10:61, 85:106] = True
    changed = (np.asarray(result.image) != np.asarray(WIDE)).any(-1)
    assert changed[inside].any()
    assert not changed[~inside].any()


def test_a_mask_that_no_such_part_holds_is_refused_with_a_size_that_does(pipe):
    recipe = masked((5, 30, 104, 40), **SQUARE)
    with pytest.raises(BadInput, match=r"covers 100 x 11 .* give the size 32 x 20, or leave it out"):
        pipe.resolve(recipe)
    assert pipe.resolve(replace(recipe, width=32, height=20)).area is None


def test_the_picture_that_is_held_says_the_size(pipe):
    tall, held = Image.new("RGB", (60, 90), "red"), WIDE.crop((0, 0, 40, 24))
    mask = Image.new("L", held.size)
    mask.paste(255, (10, 6, 30, 18))
    with pytest.warns(PictureWarning, match="the middle is taken"):
        result = pipe.run(Recipe(start=SDEdit(tall, 0.7), hold=Outside(mask, held), steps=2))
    assert (result.recipe.width, result.recipe.height) == (32, 20)
    assert result.image.size == held.size
    assert (np.asarray(result.image)[:6] == np.asarray(held)[:6]).all()


def test_a_second_picture_of_other_proportions_is_fitted_to_the_first(pipe):
    tall = Image.fromarray(np.random.default_rng(1).integers(0, 256, (90, 60, 3), dtype=np.uint8))
    recipe = pipe.resolve(Recipe(start=Between(WIDE, tall), steps=2))
    with pytest.warns(PictureWarning, match="of a picture of 60 x 90 the middle is taken"):
        batch = bind(pipe.batch([recipe])).batch
    assert (
        batch.images["other"].tobytes() == ImageOps.fit(tall, WIDE.size, LANCZOS).resize(batch.size, LANCZOS).tobytes()
    )
    smaller = WIDE.resize((55, 35), LANCZOS)
    batch = bind(pipe.batch([pipe.resolve(Recipe(start=Between(WIDE, smaller), steps=2))])).batch
    assert batch.images["other"].tobytes() == smaller.resize(batch.size, LANCZOS).tobytes()


def test_a_picture_that_is_looked_at_keeps_its_proportions(pipe):
    assert look_attention(pipe, Recipe("a boat"), WIDE).image.size == (32, 20)
