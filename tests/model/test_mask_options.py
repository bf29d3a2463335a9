"""What a recipe does to its mask, to its time grid and to the picture around its crop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw

import sfumato
from sfumato.edit import Crop, Noise, NoiseStart, Outside, Resample, SDEdit
from sfumato.model.run import bind
from sfumato.picture import BadInput, around
from sfumato.provenance import redo
from sfumato.recipe import Recipe
from sfumato.times import jumps

WIDE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (70, 110, 3), dtype=np.uint8))
MASK = Image.new("L", WIDE.size)
ImageDraw.Draw(MASK).rectangle((60, 30, 75, 44), fill=255)
INSIDE = np.asarray(MASK) == 255
ORIGINAL = np.asarray(WIDE)


@pytest.fixture(scope="module")
def pipe(tiny_model) -> sfumato.Pipe:
    return sfumato.load(tiny_model)


def recipe(strength: float = 0.7, mask: Image.Image = MASK, **options) -> Recipe:
    hold = {name: options.pop(name) for name in ("grow", "feather", "dilation", "resample") if name in options}
    return Recipe(start=SDEdit(WIDE, strength), hold=Outside(mask, **hold), steps=2, **options)


def test_a_mask_is_grown_and_feathered_in_its_own_pixels():
    assert recipe().hold.shaped().tobytes() == MASK.tobytes()
    grown = np.asarray(recipe(grow=4).hold.shaped()) > 0
    assert (grown.any(0).nonzero()[0][[0, -1]] == (56, 79)).all()
    assert (np.asarray(recipe(grow=-3).hold.shaped()) > 0).sum() == 10 * 9
    soft = np.asarray(recipe(feather=6).hold.shaped())
    assert (soft[INSIDE] == 255).all()
    assert (soft[37, :54] == 0).all()
    assert (np.diff(soft[37, 54:61].astype(int)) > 0).all()


def test_outside_a_feathered_mask_every_byte_stays(pipe):
    options = {"grow": 2, "feather": 5}
    made = np.asarray(pipe.run(recipe(**options)).image)
    outside = np.asarray(recipe(**options).hold.shaped()) == 0
    assert 0 < outside.mean() < 1
    assert (made[outside] == ORIGINAL[outside]).all()
    assert (made[INSIDE] != ORIGINAL[INSIDE]).any()


def test_resampling_walks_its_stretches_again(pipe):
    plain = replace(recipe(), steps=8)
    again = replace(plain, hold=replace(plain.hold, resample=Resample(2, 3)))
    walked = len(list(pipe.steps(again)))
    run = bind(pipe.batch([pipe.resolve(again)]))
    assert walked == run.steps == len(jumps(run.batch.times(0.7), 2, 3)) - 1 == 8 + 3 * 2 * 3
    assert pipe.run(again).image.tobytes() != pipe.run(plain).image.tobytes()
    once = replace(plain, hold=replace(plain.hold, resample=Resample(2, 1)))
    assert pipe.run(once).image.tobytes() == pipe.run(plain).image.tobytes()


def test_dilation_is_in_pixels_of_the_picture_and_leaves_the_outside(pipe):
    size = {"width": 32, "height": 20}
    batch = bind(pipe.batch([pipe.resolve(recipe(dilation=22, **size))])).batch
    assert batch.in_cells(110) == pytest.approx(batch.like.shape[-1])
    made = np.asarray(pipe.run(recipe(dilation=22, **size)).image)
    assert (made[~INSIDE] == ORIGINAL[~INSIDE]).all()
    assert made.tobytes() != np.asarray(pipe.run(recipe(**size)).image).tobytes()


@pytest.mark.parametrize("composite", ["paste", "poisson"])
def test_a_part_is_edited_at_the_models_size_and_the_rest_stays_at_its_own(pipe, composite):
    result = pipe.run(recipe(area=Crop(6), composite=composite))
    made = np.asarray(result.image)
    assert result.image.size == WIDE.size
    assert (made[~INSIDE] == ORIGINAL[~INSIDE]).all()
    assert (made[INSIDE] != ORIGINAL[INSIDE]).any()
    assert (result.recipe.width, result.recipe.height) == (32, 32)
    assert result.recipe.area.box == around(MASK, 6, (32, 32))


def test_a_picture_with_a_mask_comes_back_at_its_own_size(pipe):
    """The whole of it where the model sees it well enough, a part around the mask where it would shrink far."""
    for picture, part in ((WIDE, True), (WIDE.resize((40, 26)), False)):
        mask = MASK.resize(picture.size, Image.Resampling.NEAREST)
        result = pipe.run(Recipe(start=SDEdit(picture, 0.7), hold=Outside(mask), steps=2))
        outside = np.asarray(mask) == 0
        assert result.image.size == picture.size
        assert (np.asarray(result.image)[outside] == np.asarray(picture)[outside]).all()
        assert (np.asarray(result.image)[~outside] != np.asarray(picture)[~outside]).any()
        assert (result.recipe.area is not None) == part
        assert pipe.run(result.recipe).image.tobytes() == result.image.tobytes()


@pytest.mark.parametrize("feather", [0, 5])
def test_at_the_models_own_resolution_a_part_is_the_crop_edited_alone(pipe, feather):
    mask = recipe(feather=feather).hold.shaped()
    box = around(mask, 2, pipe.size)
    assert (box[2] - box[0], box[3] - box[1]) == pipe.size
    alone = pipe.run(Recipe(start=SDEdit(WIDE.crop(box), 0.7), hold=Outside(mask.crop(box)), steps=2))
    whole = pipe.run(recipe(area=Crop(2), feather=feather))
    assert whole.image.crop(box).tobytes() == alone.image.tobytes()


def test_of_an_uncomposed_part_the_box_alone_changes(pipe):
    result = pipe.run(recipe(area=Crop(6), composite="none"))
    left, top, right, bottom = result.recipe.area.box
    changed = (np.asarray(result.image) != ORIGINAL).any(-1)
    assert changed[top:bottom, left:right].mean() > 0.9
    changed[top:bottom, left:right] = False
    assert not changed.any()


def test_strength_0_and_a_black_mask_leave_the_whole_picture(pipe):
    for area in (Crop(6), Crop(0, box=(3, 5, 100, 50))):
        assert pipe.run(recipe(0.0, area=area)).image.tobytes() == WIDE.tobytes()
        black = Image.new("L", WIDE.size)
        assert pipe.run(recipe(0.7, mask=black, area=area)).image.tobytes() == WIDE.tobytes()


def test_a_part_starts_from_noise_as_well(pipe):
    noise = Recipe(start=Noise(), hold=Outside(MASK, WIDE), area=Crop(6), steps=2)
    made = np.asarray(pipe.run(noise).image)
    assert (made[~INSIDE] == ORIGINAL[~INSIDE]).all()
    assert isinstance(bind(pipe.batch([pipe.resolve(noise)])).start, NoiseStart)


def test_redo_makes_a_part_again(pipe, tiny_model, tmp_path):
    result = pipe.run(replace(recipe(area=Crop(6), grow=2, feather=3), model=str(tiny_model)))
    (path,) = result.save(tmp_path / "part.png")
    again = redo(path)
    assert again.identical
    assert Recipe.from_json(result.recipe.to_json()) == result.recipe


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: Recipe(start=SDEdit(WIDE), area=Crop()), "area is a crop around the mask"),
        (lambda: recipe(area=Crop(box=(0, 0, 111, 5))), "does not lie within 110 x 70"),
        (lambda: recipe(area=Crop(box=(9, 0, 9, 5))), "does not lie within"),
        (lambda: Crop(margin=-1), "margin is -1: give a whole number of pixels"),
        (lambda: Crop(box=(1, 2, 3)), "box"),
        (lambda: Outside(MASK, feather=-1), "feather is -1"),
        (lambda: Outside(MASK, grow=float("nan")), "grow is nan"),
        (lambda: Resample(0), "length is 0"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong, said):
    with pytest.raises(BadInput, match=said):
        wrong()
