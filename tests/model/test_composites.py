"""The composites of a run: whatever joins the result to what was held, the outside stays to the byte."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

import sfumato
from sfumato.edit import Composite, Outside, SDEdit
from sfumato.edit.reconstruction import STEPS, Reconstruction
from sfumato.picture import BadInput
from sfumato.recipe import Recipe

SIZE = 16
PICTURE = Image.fromarray((np.mgrid[:SIZE, :SIZE].sum(0)[..., None] * np.array([4, 6, 8])).astype(np.uint8))
MASK = Image.new("L", (SIZE, SIZE))
ImageDraw.Draw(MASK).ellipse((4, 5, 10, 12), fill=255)
INSIDE = np.asarray(MASK) == 255
NAMES = list(Composite.registry)
each = pytest.mark.parametrize("name", NAMES)
held = pytest.mark.parametrize("name", [name for name in NAMES if name != "none"])


@pytest.fixture(scope="module")
def pipe(tiny_model) -> sfumato.Pipe:
    return sfumato.load(tiny_model)


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Six steps of optimising in the place of the paper's."""
    monkeypatch.setattr(Reconstruction, "steps", 6)


def recipe(name: str, mask: Image.Image = MASK, strength: float = 0.7, **options) -> Recipe:
    size = {"width": SIZE, "height": SIZE}
    return Recipe(start=SDEdit(PICTURE, strength), hold=Outside(mask), composite=name, steps=2, **size, **options)


@held
def test_the_outside_stays_to_the_byte_and_the_inside_does_not(pipe, name):
    made = np.asarray(pipe.run(replace(recipe(name), model=pipe.name)).image)
    assert (made[~INSIDE] == np.asarray(PICTURE)[~INSIDE]).all()
    assert (made[INSIDE] != np.asarray(PICTURE)[INSIDE]).any()


@each
def test_progress_counts_every_step(pipe, name):
    steps = list(pipe.steps([recipe(name), recipe(name, seed=1)]))
    assert [step.index for step in steps] == [*range(1, len(steps) + 1)]
    assert {step.total for step in steps} == {2 + 2 * Composite.registry.named(name).steps}
    assert steps[0].preview()[1].size == steps[-2].preview()[1].size == (SIZE, SIZE)


@held
def test_black_masks_and_strength_0_leave_the_picture(pipe, name):
    black = Image.new("L", (SIZE, SIZE))
    for unchanged in (recipe(name, black), recipe(name, strength=0.0)):
        assert pipe.run(unchanged).image.tobytes() == PICTURE.tobytes()


@pytest.mark.parametrize("name", ["latent", "decoder"])
def test_a_picture_of_a_batch_is_the_picture_alone(tiny_model, name):
    exact = sfumato.load(tiny_model, engine="exact")
    recipes = [recipe(name, seed=seed, engine="exact") for seed in (3, 4)]
    assert exact.run(recipes).images[1].tobytes() == exact.run(recipes[1]).image.tobytes()


def test_tuning_gives_the_decoder_back_when_the_caller_leaves(pipe):
    decoder = pipe.stage.space.autoencoder.decoder
    before = [(id(weight), weight.clone()) for weight in decoder.parameters()]
    for step in pipe.steps(recipe("decoder")):
        if step.index == 5:
            break
    for weight, (key, value) in zip(decoder.parameters(), before, strict=True):
        assert id(weight) == key
        assert torch.equal(weight, value)
        assert not weight.requires_grad


def test_optimising_brings_the_decoded_outside_nearer(pipe, monkeypatch):
    """Before the paste: what is decoded agrees with the picture better than what the model left."""
    monkeypatch.setattr(Reconstruction, "steps", STEPS)
    for name in ("latent", "decoder"):
        previews = [np.asarray(step.preview()[0]).astype(float) for step in pipe.steps(recipe(name))][2:-1]
        errors = [np.abs(preview - np.asarray(PICTURE))[~INSIDE].mean() for preview in previews]
        assert errors[-1] < errors[0]


@pytest.mark.parametrize("name", ["latent", "decoder"])
def test_a_model_of_pixels_has_nothing_to_move(pixel_model, name):
    pipe = sfumato.load(pixel_model())
    with pytest.raises(BadInput, match="paints pixels without one: choose paste or poisson"):
        pipe.run(replace(recipe(name), label=0, model="boats"))
