"""sfumato edit by inversion, by inferred masks, with low frequencies held, and between two pictures."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from sfumato.edit import Between, EditFriendly, Inferred, Inverted, LowPass, Outside, SDEdit
from sfumato.picture import open_picture, read_metadata
from sfumato.recipe import Recipe


def pixels(path) -> np.ndarray:
    return np.asarray(open_picture(path))


@pytest.fixture
def edit(cli, model, sketch):
    def call(*arguments):
        done = cli("edit", sketch, *arguments, "--steps", 3, "--model", model, "--seed", 1, "-o", "new.png")
        assert done.status == 0, done.err
        return Recipe.from_json(read_metadata("new.png")["recipe"])

    return call


def test_from_one_thing_to_another_infers_a_mask_and_keeps_the_rest_to_the_byte(edit, sketch, home):
    recipe = edit("--from", "a horse", "--to", "a zebra", "--hold", "inferred:draws=2", "--save-mask", "mask.png")
    assert recipe.prompt == "a zebra"
    assert isinstance(recipe.start, Inverted)
    assert (recipe.start.strength, recipe.start.shows, recipe.start.refine) == (0.9, "a horse", 2)
    assert isinstance(recipe.hold, Inferred)
    assert (recipe.hold.shows, recipe.hold.draws) == ("a horse", 2)
    outside = pixels("mask.png")[..., 0] == 0
    assert 0 < outside.mean() < 1
    assert (pixels("new.png")[outside] == pixels(sketch)[outside]).all()
    assert (pixels("new.png")[~outside] != pixels(sketch)[~outside]).any()


@pytest.mark.parametrize(("table", "strength"), [("scaled_linear", 0.8), ("squaredcos_cap_v2", 0.9)])
def test_how_far_an_inverted_picture_goes_is_what_suits_the_schedule(cli, model, sketch, home, table, strength):
    shutil.copytree(model, home / "own")
    config = home / "own" / "scheduler" / "scheduler_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"beta_schedule": table}))
    ways = {
        ("--refine", 0): strength,
        ("--inversion", "ddim:strength=0.6"): 0.6,
        ("--strength", 0.5): 0.5,
        ("--inversion", "edit-friendly", "--sampler", "ddpm"): 0.7,
    }
    for way, expected in ways.items():
        words = ("edit", sketch, "a zebra", "--from", "a horse", "--hold", "none", *way, "--steps", 3)
        done = cli(*words, "--model", home / "own", "-o", "new.png")
        assert done.status == 0, done.err
        assert Recipe.from_json(read_metadata("new.png")["recipe"]).start.strength == expected


def test_the_prompt_may_stand_without_its_option(edit):
    recipe = edit("a zebra", "--from", "a horse", "--strength", 0.5, "--refine", 0, "--hold", "inferred:draws=1")
    assert (recipe.prompt, recipe.start.strength, recipe.start.refine) == ("a zebra", 0.5, 0)


def test_a_mask_or_none_replaces_the_inferred_one(edit, sketch, home):
    Image.new("L", (32, 32), 0).save("mask.png")
    recipe = edit("a zebra", "--from", "a horse", "--mask", "mask.png")
    assert (type(recipe.start), type(recipe.hold)) == (Inverted, Outside)
    assert np.array_equal(pixels("new.png"), pixels(sketch))
    recipe = edit("a zebra", "--from", "a horse", "--hold", "none")
    assert (type(recipe.start), recipe.hold) == (Inverted, None)


def test_the_way_of_inverting_is_chosen_by_name(edit):
    recipe = edit("a zebra", "--from", "a horse", "--inversion", "ddim:null=1", "--refine", 0, "--hold", "none")
    assert recipe.start == Inverted(recipe.start.picture, 0.9, "a horse", 0, 1)
    recipe = edit("a zebra", "--from", "a horse", "--inversion", "edit-friendly", "--sampler", "ddpm", "--hold", "none")
    assert recipe.start == EditFriendly(recipe.start.picture, 0.7, "a horse")


def test_what_is_coarse_may_be_held(edit):
    recipe = edit("a boat", "--strength", 1, "--hold", "low-pass:factor=2,until=0.1")
    assert isinstance(recipe.start, SDEdit)
    assert recipe.hold == LowPass(2.0, 0.1)


def test_between_two_pictures(edit, sketch, home):
    Image.new("RGB", (50, 40), "red").save("b.png")
    recipe = edit("a boat", "--with", "b.png", "--weight", 0.25)
    assert isinstance(recipe.start, Between)
    assert (recipe.start.weight, recipe.start.strength) == (0.25, 0.6)
    assert recipe.start.other.size == (50, 40)


def test_each_of_several_pictures_has_its_mask(cli, model, sketch):
    done = cli("edit", sketch, "a zebra", "--from", "a horse", "--count", 2, "--steps", 2, "--model", model,
               "--hold", "inferred:draws=1", "--save-mask", "m.png", "-o", "g.png")  # fmt: skip
    assert done.out.split() == ["g-0.png", "g-1.png", "m-0.png", "m-1.png", "g-sheet.png"]


def test_at_strength_0_the_picture_stays_and_no_mask_is_promised(cli, model, sketch, home):
    words = ("edit", sketch, "x", "--from", "a horse", "--strength", 0, "--model", model, "-o", "same.png")
    done = cli(*words, "--save-mask", "none.png")
    assert done.status == 2
    assert "--save-mask needs a --strength above 0" in done.err
    assert not (home / "same.png").exists()
    assert cli(*words).status == 0
    assert np.array_equal(pixels("same.png"), pixels(sketch))


def test_the_mask_of_a_local_blend_is_saved_and_outside_it_the_picture_stays(cli, model, sketch):
    method = "prompt-to-prompt:blend=boat,threshold=0.95"
    done = cli("edit", sketch, "a red boat", "--from", "a boat", "--method", method, "--save-mask", "m.png",
               "--steps", 2, "--model", model, "-o", "b.png")  # fmt: skip
    assert done.out.split() == ["b.png", "m.png"]
    kept = np.asarray(Image.open("m.png").convert("L")) == 0
    assert kept.shape == pixels("b.png").shape[:2]
    resized = np.asarray(Image.open(sketch).convert("RGB").resize(kept.shape[::-1], Image.Resampling.BICUBIC))
    assert 0 < kept.mean() < 1
    assert np.abs(pixels("b.png").astype(int) - resized)[kept].max() <= 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("x --from y --method prompt-to-prompt --save-mask m.png", "--method prompt-to-prompt:blend=WORD"),
        ("x --to y", "given twice"),
        ("x --weight 0.5", "--weight needs --with"),
        ("x --refine 2", "--refine needs --from or --with"),
        ("x --with sketch.png --from y", "--from does not go with --with"),
        ("x --task restore --strength 0.5", "--strength does not go with --task"),
        ("x --hold lowpass", "did you mean 'low-pass'"),
        ("x --hold low-pass:size=3", "'size' is unknown"),
        ("x --hold low-pass:factor=0", "factor is 0.0: give a number from 1"),
        ("x --hold inferred:picture=sketch.png", "'picture' is unknown"),
        ("x --save-mask m.png", "--save-mask writes a mask that is found"),
        ("x --from y --save-mask m.gif", ".png, .jpg"),
        ("x --from y --refine -1", "refine is -1"),
        ("x --inversion ddim", "--inversion needs --from"),
        ("x --from y --inversion dim", "did you mean 'ddim'"),
        ("x --from y --inversion ddim:shows=z", "shows is said beside it too"),
        ("x --from y --inversion edit-friendly --refine 3", "takes no --refine"),
        ("x --with none.png", "none.png does not exist"),
        ("x --mask sketch.png --hold low-pass", "give one of them"),
    ],
)
def test_what_does_not_go_together_is_refused_in_a_sentence(cli, sketch, options, said):
    done = cli("edit", "sketch.png", *options.split())
    assert (done.status, done.out) == (2, "")
    assert done.err.count("\n") == 1
    assert said in done.err
