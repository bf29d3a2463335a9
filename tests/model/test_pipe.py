"""From recipes to pictures: what a run promises, whatever the weights."""

from __future__ import annotations

import pickle
import platform
import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch.nn import functional

import sfumato
from sfumato.edit import Outside, SDEdit
from sfumato.guide import ClassifierFree
from sfumato.model.batch import Batch
from sfumato.network import RowByRow
from sfumato.picture import BadInput, PictureWarning, pixels_hash, read_metadata
from sfumato.recipe import Recipe

SIZE = 32


def array(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


def circle(grey: int = 255) -> Image.Image:
    mask = Image.new("L", (SIZE, SIZE), 0)
    ImageDraw.Draw(mask).ellipse((10, 10, 22, 22), fill=grey)
    return mask


def test_a_picture_depends_on_its_own_seed_alone(pipe, tiny_model):
    four = pipe("a boat", steps=5, seed=7, count=4)
    assert np.abs(array(four.images[3]) - array(pipe("a boat", steps=5, seed=10).image)).max() <= 1
    assert np.abs(array(four.images[0]) - array(four.images[1])).max() > 1
    assert [r.seed for r in four.recipes] == [7, 8, 9, 10]

    exact = sfumato.load(tiny_model, engine="exact")
    for sampler in ("dpmpp-2m", "ddpm"):
        four = exact("a boat", steps=5, seed=7, count=4, sampler=sampler)
        assert (
            array(four.images[3]).tolist() == array(exact("a boat", steps=5, seed=10, sampler=sampler).image).tolist()
        )


def test_row_by_row_is_the_same_function_alone_and_in_a_batch():
    torch.manual_seed(0)
    x, weight = torch.randn(5, 3, 9, 9), torch.randn(7, 3, 3, 3)
    with RowByRow():
        batch = functional.conv2d(x, weight, padding=1)
        alone = [functional.conv2d(row[None], weight, padding=1) for row in x]
    assert torch.equal(batch, torch.cat(alone))
    assert torch.allclose(batch, functional.conv2d(x, weight, padding=1), atol=1e-5)


def test_strength_zero_is_the_identity(pipe, picture):
    assert array(pipe("anything", start=SDEdit(picture, 0.0)).image).tolist() == array(picture).tolist()


def test_strength_zero_keeps_the_start_inside_the_mask_and_the_held_picture_outside(pipe, picture):
    other = Image.new("RGB", picture.size, "white")
    out = array(pipe("anything", start=SDEdit(picture, 0.0), hold=Outside(circle(), other)).image)
    inside = np.asarray(circle())[..., None] == 255
    assert (out == np.where(inside, array(picture), array(other))).all()


def test_strength_one_forgets_the_picture(pipe, picture):
    other = Image.new("RGB", picture.size, "white")
    a, b = (pipe("a boat", start=SDEdit(p, 1.0), steps=4).image for p in (picture, other))
    assert array(a).tolist() == array(b).tolist() == array(pipe("a boat", steps=4).image).tolist()


def test_more_strength_moves_the_picture_further(pipe, picture):
    base = array(pipe("a boat", start=SDEdit(picture, 0.02), steps=4).image)
    far = [np.abs(array(pipe("a boat", start=SDEdit(picture, s), steps=4).image) - base).mean() for s in (0.2, 0.9)]
    assert far[0] < far[1]


@pytest.mark.parametrize("sampler", ["ddim", "heun", "dpmpp-2m-sde"])
def test_outside_the_mask_the_picture_is_kept_to_the_byte(pipe, picture, sampler):
    mask = circle()
    out = array(pipe("a boat", start=SDEdit(picture, 0.9), hold=Outside(mask), sampler=sampler, steps=4).image)
    outside = np.asarray(mask) == 0
    assert (out[outside] == array(picture)[outside]).all()
    assert np.abs(out - array(picture))[~outside].max() > 5
    from_noise = array(pipe("a boat", hold=Outside(mask, picture), sampler=sampler, steps=4).image)
    assert (from_noise[outside] == array(picture)[outside]).all()


def test_an_empty_mask_is_the_identity_and_a_full_one_is_no_mask(pipe, picture):
    empty, full = (Image.new("L", picture.size, grey) for grey in (0, 255))
    start = SDEdit(picture, 0.8)
    assert array(pipe("a boat", start=start, hold=Outside(empty), steps=4).image).tolist() == array(picture).tolist()
    masked = pipe("a boat", start=start, hold=Outside(full), steps=4).image
    assert array(masked).tolist() == array(pipe("a boat", start=start, steps=4).image).tolist()


def test_without_the_composite_the_outside_is_the_decoders(pipe, picture):
    out = pipe("a boat", start=SDEdit(picture, 0.8), hold=Outside(circle()), composite="none", steps=4).image
    assert np.abs(array(out) - array(picture))[np.asarray(circle()) == 0].max() > 0


def test_a_soft_mask_blends(pipe, picture):
    half = pipe("a boat", start=SDEdit(picture, 0.9), hold=Outside(circle(128)), steps=4).image
    change = np.abs(array(half) - array(picture))
    assert change[np.asarray(circle()) == 0].max() == 0
    assert change.max() > 0


def test_a_cell_is_repainted_if_any_of_its_pixels_is(pipe):
    mask = Image.new("L", (8, 8))
    mask.putpixel((5, 1), 255)
    side, where = 8 // pipe.stage.space.factor, 5 // pipe.stage.space.factor
    wanted = torch.zeros(1, 1, side, side)
    wanted[0, 0, 0, where] = 1
    assert torch.equal(Batch(pipe.stage, [pipe.resolve(Recipe())], (8, 8)).cells(mask), wanted)


def test_guidance_one_is_the_unguided_picture_and_costs_one_row(pipe):
    rows: list[int] = []
    network = pipe.stage.denoiser.backbone.network
    hook = network.register_forward_pre_hook(lambda _, args: rows.append(len(args[0])))
    off = pipe("a boat", guidance=[ClassifierFree(1.0)], steps=3).image
    none = pipe("a boat", guidance=[], steps=3).image
    pipe("a boat", guidance=[ClassifierFree(4.0, interval=(0.0, 0.5))], steps=4)
    hook.remove()
    assert array(off).tolist() == array(none).tolist()
    assert rows == [1, 1, 1] * 2 + [1, 1, 2, 2]


def test_a_negative_prompt_replaces_the_unconditional_branch(pipe):
    same = pipe("a boat", negative="a boat", steps=3, guidance=[ClassifierFree(7.0)]).image
    plain = pipe("a boat", steps=3, guidance=[]).image
    assert np.abs(array(same) - array(plain)).max() <= 1
    other = pipe("a boat", negative="rain", steps=3, guidance=[ClassifierFree(7.0)]).image
    assert np.abs(array(other) - array(plain)).max() > 1


def test_steps_tells_of_its_progress_and_the_last_one_brings_the_result(pipe):
    recipe = Recipe("a boat", model=pipe.name, steps=3)
    steps = list(pipe.steps([recipe, replace(recipe, seed=1, prompt="rain"), replace(recipe, sampler="ddim")]))
    assert [s.index for s in steps] == [1, 2, 3, 4, 5, 6]
    assert {s.total for s in steps} == {6}
    assert [s.result is None for s in steps] == [True] * 5 + [False]
    assert [s.done is None for s in steps] == [True, True, False, True, True, False]
    assert [len(s.preview()) for s in steps] == [2, 2, 2, 1, 1, 3]
    assert [len(s.done.images) for s in steps if s.done] == [2, 1]
    assert [r.prompt for r in steps[-1].result.recipes] == ["a boat", "rain", "a boat"]


def test_the_recipe_in_the_result_is_resolved_and_makes_the_picture_again(pipe, picture):
    first = pipe("a boat", start=SDEdit(picture, 0.5), hold=Outside(circle()), steps=3, seed=4)
    made = first.recipe.made
    assert (first.recipe.width, first.recipe.height) == (SIZE, SIZE)
    assert made.pixels == pixels_hash(first.image)
    capability = torch.backends.cpu.get_cpu_capability()
    assert (made.device, made.processor) == ("cpu", f"{platform.machine()} {capability}")
    assert made.threads == torch.get_num_threads()
    assert re.fullmatch(r"[a-z0-9]+:[0-9a-f]+", made.weights)
    stranger = replace(first.recipe, model="somebody-s")  # what is recorded is what painted
    assert pipe.run([stranger]).recipe.model == pipe.name
    again = pipe.run(Recipe.from_json(first.recipe.to_json()))
    assert array(again.image).tolist() == array(first.image).tolist()


@pytest.mark.parametrize("ending", ["png", "jpg", "webp"])
def test_saving_keeps_the_recipe(pipe, tmp_path, ending):
    result = pipe("a boat", steps=2, count=2)
    paths = result.save(tmp_path / f"out.{ending}")
    assert [p.name for p in paths] == [f"out-0.{ending}", f"out-1.{ending}"]
    found = read_metadata(paths[1])
    assert Recipe.from_json(found["recipe"]) == result.recipes[1]
    assert found["parameters"].startswith("a boat\n")


def test_a_picture_of_another_size_is_edited_at_the_models_own(pipe):
    wide = Image.new("RGB", (300, 150), "teal")
    assert pipe("a boat", start=SDEdit(wide, 0.5), steps=2).image.size == (SIZE, SIZE // 2)
    assert pipe("a boat", width=64, height=48, steps=2).image.size == (64, 48)


def test_what_the_pipe_cannot_run_is_refused_in_a_sentence(pipe):
    for message, run in {
        "multiple of 16": lambda: replace(pipe, multiple=16)("a boat", width=72, height=40),
        "both width and height": lambda: pipe("a boat", width=64),
        "tokens long": lambda: pipe("word " * 3000),
        "engine": lambda: pipe.run(Recipe("a boat", model=pipe.name, engine="exact")),
    }.items():
        with pytest.raises(BadInput, match=message) as caught:
            run()
        assert "\n" not in str(caught.value)


def test_steps_takes_words_as_the_pipe_does(pipe):
    *_, last = pipe.steps("a boat", seed=3, steps=2, count=2)
    assert [array(image).tolist() for image in last.result.images] == [
        array(image).tolist() for image in pipe("a boat", seed=3, steps=2, count=2).images
    ]


def test_a_pipe_is_pickled_by_its_name(pipe):
    text = pickle.dumps(pipe)
    assert len(text) < 1000
    again = pickle.loads(text)
    assert (again.name, again.engine, again.precision) == (pipe.name, pipe.engine, pipe.precision)
    assert array(again("a boat", steps=2).image).tolist() == array(pipe("a boat", steps=2).image).tolist()
    with pytest.raises(BadInput, match="read from no folder"):
        pickle.dumps(replace(pipe, folders=()))


def test_several_prompts_are_several_pictures_each(tiny_model):
    pipe = sfumato.load(tiny_model)
    both = pipe(["a boat", "a house"], negative=["red", ""], seed=3, count=2, steps=2)
    assert [(each.prompt, each.negative, each.seed) for each in both.recipes] == [
        *(("a boat", "red", 3), ("a boat", "red", 4), ("a house", "", 3), ("a house", "", 4)),
    ]
    alone = pipe("a house", seed=4, steps=2).image
    assert abs(array(both.images[3]).astype(int) - array(alone).astype(int)).max() <= 1
    assert len([*pipe.steps(("a boat", "a house"), steps=2)][-1].result.images) == 2


def test_without_a_seed_one_is_drawn_and_said(tiny_model):
    pipe = sfumato.load(tiny_model)
    first, other = (pipe.recipes("a boat", seed=None, count=2) for _ in range(2))
    assert first[1].seed == first[0].seed + 1
    assert first[0].seed != other[0].seed


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda pipe: pipe(["a", 2]), "prompt is a int, or has one in it: give a text, or a list of texts"),
        (lambda pipe: pipe(["a", "b"], negative=["c"] * 3), "3 negative prompts for 2 prompts: give one, or as many"),
        (lambda pipe: pipe(None), "prompt is a NoneType"),
        (lambda pipe: pipe("a", negative=None), "negative is a NoneType"),
        (lambda pipe: pipe(Recipe("a")), r"prompt is a Recipe: run\(\) runs it"),
        (lambda pipe: pipe("a", guidance=7.5), "guidance is a float: give a list, also of one"),
        (lambda pipe: pipe("a", guidance="apg"), "guidance is a str: give a list"),
        (lambda pipe: pipe("a", guidance=ClassifierFree(3.0)), "guidance is a ClassifierFree: give a list"),
        (lambda pipe: next(pipe.steps(Recipe("a"), seed=3)), "seed is said of a prompt, and a recipe says it itself"),
    ],
)
def test_what_is_of_another_type_is_said_in_a_sentence(tiny_model, call, said):
    with pytest.raises(BadInput, match=said):
        call(sfumato.load(tiny_model))


def test_a_negative_prompt_that_nothing_hears_is_told_of(tiny_model):
    pipe = sfumato.load(tiny_model)
    with pytest.warns(PictureWarning, match="the negative prompt is not heard"):
        pipe("a boat", negative="red", guidance=[], steps=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error", PictureWarning)
        pipe("a boat", negative="red", guidance=[ClassifierFree(3.0)], steps=1)
