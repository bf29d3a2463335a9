"""Inversion, inferred masks, low-pass holds and pictures between two, as recipes: what they promise on any weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

import sfumato
from sfumato import (
    DDIM,
    Between,
    ClassifierFree,
    EditFriendly,
    Inferred,
    Inverted,
    LowPass,
    Noise,
    Outside,
    Recipe,
    SDEdit,
)
from sfumato.edit import PromptToPrompt, Resample, low_pass
from sfumato.picture import BadInput
from sfumato.space.pixels import to_tensor

SIZE = 16
UNGUIDED = {"guidance": [], "sampler": "ddim", "steps": 4}


@pytest.fixture(scope="module")
def pipe(tiny_model) -> sfumato.Pipe:
    return replace(sfumato.load(tiny_model), size=(SIZE, SIZE))


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    """A yellow disc on blue."""
    image = Image.new("RGB", (SIZE, SIZE), (40, 90, 160))
    ImageDraw.Draw(image).ellipse((4, 4, 13, 13), fill=(230, 180, 40))
    return image


def array(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


def reconstruction(pipe, picture) -> np.ndarray:
    space = pipe.stage.space
    with torch.no_grad():
        decoded = space.decode(space.encode(to_tensor([picture])))
    return ((decoded[0].permute(1, 2, 0).clamp(-1, 1) + 1) * 127.5).round().int().numpy()


def test_an_inverted_picture_comes_back_unguided(pipe, picture):
    back = [
        np.abs(array(pipe("a boat", start=Inverted(picture, 0.9, "a boat", refine), **UNGUIDED).image) - truth).max()
        for truth in [reconstruction(pipe, picture)]
        for refine in (0, 20)
    ]
    assert back[1] <= 1 < back[0]


def test_null_text_brings_a_guided_picture_back(pipe, picture):
    guided = {"guidance": [ClassifierFree(4.0)], "sampler": "ddim", "steps": 4}
    apart = [
        np.abs(array(pipe("a boat", start=Inverted(picture, 0.8, "a boat", 8, null), **guided).image) - truth).mean()
        for truth in [reconstruction(pipe, picture)]
        for null in (0, 1, 8)
    ]
    assert apart[2] < apart[1] < apart[0]


def test_null_texts_are_each_rows_own_and_go_with_other_words_and_holds(pipe, picture):
    parts = {"start": Inverted(picture, 0.6, "a boat", 1, 2), "steps": 2}
    both, alone = pipe("rain", seed=4, count=2, **parts), pipe("rain", seed=5, **parts)
    assert np.abs(array(both.images[1]) - array(alone.image)).max() <= 1
    pipe("a house", hold=Inferred("a boat", draws=1), attention=PromptToPrompt("a boat"), **parts)
    recipe = Recipe("rain", model=pipe.name, **parts)
    assert [step.index for step in pipe.steps(recipe)][-2:] == [2 * 2 + 2 + 1, 2 * 2 + 2 + 2]


def test_null_text_needs_guidance_by_words(pipe, picture):
    with pytest.raises(BadInput, match="words and classifier-free guidance"):
        pipe("rain", start=Inverted(picture, null=2), guidance=[], steps=2)


@pytest.mark.parametrize("sampler", ["ddpm", DDIM(1.0), DDIM(0.3)])
def test_edit_friendly_noise_paints_the_picture_again_and_others_do_not(pipe, picture, sampler):
    parts = {"start": EditFriendly(picture, 0.8, "a boat"), "sampler": sampler, "steps": 5}
    back, other = (array(pipe(words, guidance=[], seed=3, **parts).image) for words in ("a boat", "rain"))
    assert np.abs(back - reconstruction(pipe, picture)).max() <= 1
    assert np.abs(other - back).max() > 5
    held = pipe("rain", hold=Outside(Image.new("L", picture.size, 0)), **parts).image
    assert array(held).tolist() == array(picture).tolist()


def test_edit_friendly_noise_is_for_ancestral_sampling_step_by_step(pipe, picture):
    for message, parts in {
        "choose the sampler ddpm": {"sampler": "dpmpp-2m"},
        "ddpm or DDIM": {"sampler": "ddim"},
        "leave one out": {"sampler": "ddpm", "hold": Outside(Image.new("L", picture.size, 9), resample=Resample(1, 2))},
    }.items():
        with pytest.raises(BadInput, match=message):
            pipe("a boat", start=EditFriendly(picture), steps=2, **parts)


def test_strength_zero_is_the_identity(pipe, picture):
    for hold in (None, Inferred("a boat"), LowPass(4)):
        image = pipe("anything", start=Inverted(picture, 0.0), hold=hold, steps=3).image
        assert array(image).tolist() == array(picture).tolist()
    friendly = pipe("anything", start=EditFriendly(picture, 0.0), sampler="ddpm", steps=3).image
    assert array(friendly).tolist() == array(picture).tolist()


def test_progress_counts_the_network_calls_before_the_first_step(pipe, picture):
    recipe = Recipe("a boat", model=pipe.name, start=Inverted(picture, 0.5, "", 2), hold=Inferred("rain"), steps=4)
    steps = list(pipe.steps(recipe))
    assert [step.index for step in steps] == list(range(1, steps[0].total + 1))
    assert steps[0].total == 4 * 3 + 10 + 4
    assert [len(step.preview()) for step in steps] == [1] * len(steps)


@pytest.mark.parametrize(("start", "sampler"), [(Inverted, "ddim"), (SDEdit, "dpmpp-2m-sde"), (None, "heun")])
def test_outside_an_inferred_mask_the_picture_is_kept_to_the_byte(pipe, picture, start, sampler):
    begun = Noise() if start is None else start(picture, 0.7)
    hold = Inferred("rain", picture if start is None else None, draws=3)
    result = pipe("a boat", start=begun, hold=hold, sampler=sampler, steps=4, count=2)
    for image, mask in zip(result.images, result.masks, strict=True):
        changed = (array(image) != array(picture)).any(-1)
        inside = np.asarray(mask) == 255
        assert 0 < inside.mean() < 1
        assert not changed[~inside].any()
        assert changed[inside].any()
    assert (np.asarray(result.masks[0]) != np.asarray(result.masks[1])).any()


def test_each_row_infers_its_own_mask_alone_or_in_a_batch(pipe, picture):
    parts = {"start": Inverted(picture, 0.6), "hold": Inferred("rain", draws=2), "steps": 3}
    both, alone = pipe("a boat", count=2, seed=4, **parts), pipe("a boat", seed=5, **parts)
    assert np.abs(array(both.images[1]) - array(alone.image)).max() <= 1
    assert (np.asarray(both.masks[1]) == np.asarray(alone.masks[0])).all()


def test_words_that_ask_for_what_is_there_change_nothing(pipe, picture):
    image = pipe("a boat", start=Inverted(picture, 0.8, "a boat"), hold=Inferred("a boat"), steps=3).image
    assert array(image).tolist() == array(picture).tolist()


def test_an_inferred_mask_is_in_the_result_and_a_given_one_is_not(pipe, picture):
    given = Image.new("L", picture.size, 255)
    assert pipe("a boat", start=SDEdit(picture), hold=Outside(given), steps=2).masks == [None]
    assert pipe("a boat", steps=2, count=2).masks == [None, None]
    mask = pipe("a boat", start=SDEdit(picture), hold=Inferred("rain", draws=1), steps=2).masks[0]
    assert mask is not None
    assert (mask.mode, mask.size) == ("L", picture.size)
    assert set(np.unique(np.asarray(mask))) <= {0, 255}


def test_a_low_pass_hold_keeps_the_coarse_picture_and_frees_the_rest(pipe, picture):
    space = pipe.stage.space
    latents = space.encode(to_tensor([picture]))
    free, held = (
        pipe("a boat", hold=hold, start=Noise(), steps=4, sampler="ddim") for hold in (None, LowPass(4, 0.0, picture))
    )
    assert array(free.image).tolist() != array(held.image).tolist()
    run = list(pipe.steps(Recipe("a boat", model=pipe.name, hold=LowPass(1, 0.0, picture), steps=2)))
    assert np.abs(array(run[-1].result.image) - reconstruction(pipe, picture)).max() <= 1
    assert low_pass(latents, 4).shape == latents.shape


def test_between_two_pictures_the_ends_are_the_pictures(pipe, picture):
    other, unguided = Image.new("RGB", picture.size, (200, 30, 60)), {**UNGUIDED, "steps": 3}
    at = {
        weight: array(pipe("", start=Between(picture, other, weight, 0.6, refine=15), **unguided).image)
        for weight in (0.0, 0.5, 1.0)
    }
    assert np.abs(at[0.0] - reconstruction(pipe, picture)).max() <= 1
    assert np.abs(at[1.0] - reconstruction(pipe, other)).max() <= 1
    distances = [np.abs(at[0.5] - at[end]).mean() for end in (0.0, 1.0)]
    assert max(distances) < np.abs(at[0.0] - at[1.0]).mean()
    noised = pipe("", start=Between(picture, other, 0.5, 0.6, "noised"), **unguided).image
    assert array(noised).tolist() != at[0.5].tolist()


def test_recipes_keep_it_all(pipe, picture):
    parts = [
        (Inverted(picture, 0.6, "rain", 1), Inferred("rain", None, 2, 0.6, 0.3)),
        (Between(picture, picture, 0.3, 0.5), LowPass(2.5, 0.2)),
    ]
    for start, hold in parts:
        first = pipe("a boat", start=start, hold=hold, sampler=DDIM(0.2), guidance=[ClassifierFree(3.0)], steps=2)
        recipe = Recipe.from_json(first.recipe.to_json())
        assert recipe == first.recipe
        assert array(pipe.run(recipe).image).tolist() == array(first.image).tolist()


def test_models_of_classes_are_told_a_class(pixel_model):
    pipe = sfumato.load(pixel_model())
    picture = Image.new("RGB", (16, 16), "teal")
    image = pipe(label="cat", start=Inverted(picture, 0.6, "boat"), hold=Inferred("boat", draws=2), steps=2).image
    assert image.size == (16, 16)
    with pytest.raises(BadInput, match="no class"):
        pipe(label="cat", start=Inverted(picture, 0.6, "a red boat"), steps=2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: Inverted(p, 1.2), "strength is 1.2: give a number from 0"),
        (lambda p: Inverted(p, refine=-1), "refine is -1: give a whole number from 0"),
        (lambda p: Between(p, p, strength=0), "strength is 0"),
        (lambda p: Between(p, p, way="straight"), "'straight' is unknown"),
        (lambda p: Inferred(draws=0), "draws is 0"),
        (lambda p: LowPass(0.5), "factor is 0.5"),
        (lambda p: Recipe("a boat", hold=LowPass(2)), "hold needs a picture"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(picture, make, message):
    with pytest.raises(BadInput, match=message) as caught:
        make(picture)
    assert "\n" not in str(caught.value)


def test_paths_in_json_are_refused():
    for kind, fields in (
        ("inverted", '"picture": "/etc/passwd"'),
        ("between", '"picture": {"sha256": "' + "0" * 64 + '", "width": 8, "height": 8}, "other": "/etc/passwd"'),
    ):
        with pytest.raises(BadInput, match="never a path"):
            Recipe.from_json(f'{{"start": {{"kind": "{kind}", {fields}}}}}')
