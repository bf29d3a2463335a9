"""Hires fix: the second of two walks, which begins where the first has ended, enlarged."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

import sfumato
from sfumato import HiresFix, KarrasGrid, Outside, SDEdit
from sfumato.edit.hires_fix import LATENT, PICTURES
from sfumato.guide import CFGPlusPlus, ClassifierFree
from sfumato.model.run import bind
from sfumato.noise import A1111CpuNoise
from sfumato.picture import BadInput
from sfumato.recipe import Recipe, intent, parameters
from sfumato.recipe.capabilities import Capabilities
from sfumato.recipe.replay import read_a1111, recipe_of
from sfumato.sample import DDIM, DPM2, LMS, RK45, Euler, Heun
from sfumato.times import DiscardPenultimateGrid, LeadingGrid, LogSNRGrid

PROMPT = "a painting of a woman in a red jacket"


@cache
def mini() -> sfumato.Pipe:
    return sfumato.load("mini")


def run(**options):
    return mini()(PROMPT, steps=3, seed=5, noise="torch", **options)


@pytest.mark.parametrize("way", PICTURES)
def test_it_is_two_calls_with_the_picture_enlarged_between_them(way: str) -> None:
    small = run(width=64, height=96).image
    by_hand = run(start=SDEdit(small.resize((128, 192), PICTURES[way][1]), 0.5), width=128, height=192).image
    made = run(start=HiresFix(2, 0.5, way), width=128, height=192).image
    assert np.array_equal(np.asarray(made), np.asarray(by_hand))


@pytest.mark.parametrize("way", LATENT)
def test_latents_are_enlarged_as_latents(way: str) -> None:
    fix = HiresFix(2, 0.3, way)
    (recipe,) = mini().recipes(PROMPT, steps=3, seed=5, start=fix, width=128, height=128)
    batch = mini().batch([mini().resolve(recipe)])
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    _, mode, antialias = LATENT[way]
    expected = functional.interpolate(x, size=(16, 16), mode=mode, antialias=antialias)
    assert torch.equal(fix.enlarged(x, batch), expected)
    flat = torch.ones(1, 4, 8, 8)
    assert torch.allclose(fix.enlarged(flat, batch), torch.ones(1, 4, 16, 16))


def test_the_first_walk_has_its_own_steps_and_shows_small_pictures() -> None:
    recipes = mini().recipes(PROMPT, steps=2, seed=5, start=HiresFix(2, 0.5, first_steps=4), count=2)
    steps = list(mini().steps(recipes))
    assert [step.total for step in steps] == [6] * 6
    assert [step.preview()[0].size for step in steps] == [(128, 128)] * 4 + [(256, 256)] * 2
    result = steps[-1].result
    assert result is not None
    assert result.recipes[0].width == 256  # twice the model's own, where no size is said
    for seed, together in zip((5, 6), result.images, strict=True):
        alone = mini().run(replace(recipes[0], seed=seed)).image
        assert np.abs(np.asarray(alone, int) - np.asarray(together, int)).max() <= 1


def test_a_hold_acts_on_both_walks_and_keeps_the_rest_to_the_byte() -> None:
    picture = run(width=128, height=128).image
    mask = Image.new("L", picture.size, 0)
    mask.paste(255, (0, 64, 128, 128))
    made = run(start=HiresFix(2, 0.5), hold=Outside(mask, picture=picture), width=128, height=128).image
    same = (np.asarray(made) == np.asarray(picture)).all(-1)
    assert same[:64].all()
    assert not same[64:].all()


def test_an_edit_begins_so_where_something_else_sees_the_picture() -> None:
    picture = run(width=128, height=128).image
    mask = Image.new("L", picture.size, 255)
    recipe = intent.edit(picture, PROMPT, start="hires-fix:scale=3", mask=mask)
    assert recipe.start == HiresFix(3)
    assert recipe.hold is not None
    assert recipe.held == recipe.hold.picture  # type: ignore[attr-defined]
    looking = intent.edit(picture, PROMPT, start="hires-fix", tells=Capabilities(text=True, references=1))
    assert (looking.start, looking.held) == (HiresFix(), looking.images[0])
    with pytest.raises(BadInput, match="hires-fix sees nothing of the picture: give a mask"):
        intent.edit(picture, PROMPT, start="hires-fix")


def test_what_can_not_be_is_said_in_a_sentence() -> None:
    for options, said in (
        ({"start": HiresFix(2), "width": 8, "height": 8}, "8 x 8 can't be painted 2 times smaller"),
        ({"start": HiresFix(1.01)}, "give a larger size or scale"),
        ({"start": HiresFix(2, first_prompt="a <lora:x:1>")}, "asks for weights"),
        (
            {"start": HiresFix(2, 1e-9, of="steps")},
            "share of 1e-09 of more than 100,000: give hires-fix a larger",
        ),
        ({"start": HiresFix(2, of="steps"), "times": LeadingGrid(stride=333)}, "at most 4 steps, not 7"),
        ({"start": HiresFix(2, first_prompt="(" * 2000)}, "parentheses|brackets|deep"),
        ({"start": HiresFix(2, first_guidance=[CFGPlusPlus()], first_sampler=RK45())}, "RK45|rk45"),
    ):
        with pytest.raises(BadInput, match=said):
            run(**options)
    with pytest.raises(BadInput, match="scale"):
        HiresFix(1)
    recipe = Recipe(start=HiresFix(1.5, 0.4, "latent", of="steps", first_steps=9, seed=2))
    assert Recipe.from_json(recipe.to_json()) == recipe


@pytest.mark.parametrize(("steps", "strength", "total"), [(6, 0.3, 20), (6, 0.5, 12), (5, 0.9999, 5), (3, 0.6, 5)])
def test_a_share_of_the_steps_is_the_end_of_a_longer_grid(steps: int, strength: float, total: int) -> None:
    fix = HiresFix(2, strength, of="steps", first_steps=1)
    (recipe,) = mini().recipes(PROMPT, steps=steps, start=fix, times=KarrasGrid(), width=64, height=64)
    run_of = bind(mini().batch([mini().resolve(recipe)]))
    batch = run_of.batch
    _, knots = run_of.start(run_of.denoise, batch.times, batch.noise)
    assert torch.equal(knots, KarrasGrid()(total, batch.schedule)[-steps - 1 :])
    with pytest.raises(BadInput, match="restart walks back up: give hires-fix a share of the time"):
        run(start=fix, times="restart")


TEXT = f"""{PROMPT}
Steps: 4, Sampler: Euler, Schedule type: Karras, CFG scale: 1, Seed: 5, Size: 64x96, RNG: CPU, """


@pytest.mark.parametrize(
    "own", ["", ', Hires prompt: "a boat, at night", Hires negative prompt: red, Hires CFG Scale: 3']
)
def test_a_picture_of_a1111_with_hires_fix_is_painted_as_k_diffusion_does(own: str) -> None:
    """Its two walks by hand: sigma z over Karras' levels, latents enlarged, the last 3 of int(3/0.6) levels."""
    text = f"{TEXT}Denoising strength: 0.6, Hires upscale: 1.5, Hires steps: 3, Hires upscaler: Latent (bicubic){own}"
    recipe, remarks = recipe_of(read_a1111(text), "mini")
    assert remarks == ()
    again, _ = recipe_of(read_a1111(parameters(recipe)), "mini")
    assert again == recipe
    assert (recipe.width, recipe.height, recipe.steps, recipe.times) == (96, 144, 3, KarrasGrid())
    recipe = mini().resolve(recipe)
    batch = mini().batch([recipe])
    schedule = batch.schedule

    def walk(
        x: torch.Tensor, sigmas: torch.Tensor, told, prompt: str, negative: str = "", scale: int = 1
    ) -> torch.Tensor:
        said = [told.denoise(prompt=words) for words in (prompt, negative)[:scale]]
        for now, then in pairwise(sigmas):
            with torch.no_grad():
                heard, *unheard = (each(x / (1 + now**2).sqrt().float(), schedule.time(now)).x0 for each in said)
            x0 = unheard[0] + scale * (heard - unheard[0]) if unheard else heard
            x = x + (x - x0) / now.float() * (then - now).float()
        return x

    def levels(steps: int) -> torch.Tensor:
        alpha, sigma = schedule(KarrasGrid()(steps, schedule))
        return (sigma / alpha).clamp(max=float((sigma / alpha)[0]))

    def noise(rows: int, columns: int) -> torch.Tensor:
        return torch.randn(1, batch.stage.space.channels, rows, columns, generator=torch.Generator().manual_seed(5))

    small = replace(recipe, start=sfumato.Noise(False), width=64, height=96, steps=4, times=KarrasGrid())
    first = levels(4)
    x = walk(noise(12, 8) * first[0].float(), first, mini().batch([small]), PROMPT)
    x = functional.interpolate(x, size=(18, 12), mode="bicubic")
    second = levels(5)[-4:]
    last = ("a boat, at night", "red", 3) if own else (PROMPT,)
    x = walk(x + noise(18, 12) * second[0].float(), second, batch, *last)
    by_hand = batch.pictures(x)[0]
    made = mini().run(recipe).image
    assert np.abs(np.asarray(made, int) - np.asarray(by_hand, int)).max() <= 1


@pytest.mark.parametrize(
    ("said", "size", "way", "remarks"),
    [
        ("Hires upscale: 2, Hires upscaler: Latent", (128, 192), "latent", 0),
        ("Hires upscale: 1.9, Hires upscaler: Latent (nearest-exact)", (120, 176), "latent-nearest-exact", 0),
        ("Hires resize: 128x0, Hires upscaler: Lanczos", (128, 192), "lanczos", 1),
        ("Hires upscale: 2, Hires upscaler: 4x-UltraSharp", (128, 192), "lanczos", 2),
    ],
)
def test_how_that_page_says_a_hires_fix(said: str, size, way: str, remarks: int) -> None:
    recipe, noted = recipe_of(read_a1111(f"{TEXT}Denoising strength: 0.7, {said}"), "mini")
    fix = recipe.start
    assert isinstance(fix, HiresFix)
    assert ((recipe.width, recipe.height), fix.enlarge, fix.strength, fix.unit) == (size, way, 0.7, False)
    assert (fix.first_size(size, 8), recipe.steps, fix.first_steps) == ((64, 96), 4, 4)
    assert len(noted) == remarks


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("Hires upscale: 2, Hires checkpoint: other", "has a model of its own .other"),
        ("Hires upscale: 2, Hires CFG Scale: wide", "its CFG scale is 'wide', which is no number"),
        ("Hires upscale: 2, Hires sampler: DDIM", "walked by DDIM"),
        ("Hires resize: 128x128", "cuts the picture"),
        ("Hires upscale: 1", "above 1 and up to 8"),
        ("Hires resize: wide", "is no size"),
        ("Hires upscale: nan", "above 1 and up to 8"),
        ("Hires upscale: 2, Hires steps: inf", "no whole number"),
        ("Hires upscale: 2, Size: 0x0", "begins at no size"),
        ("Hires resize: 640x960", "scale"),
    ],
)
def test_a_hires_fix_that_is_not_replayed(said: str, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        read_a1111(f"{TEXT}Denoising strength: 0.7, {said}")
    with pytest.raises(BadInput, match="painted over"):
        read_a1111(f"{TEXT}Denoising strength: 0.7")
    for sampler in ("DDIM", "Restart"):
        with pytest.raises(BadInput, match=f"walked by {sampler}"):
            read_a1111(f"{TEXT}Denoising strength: 0.7, Hires upscale: 2".replace("Euler", sampler))


def _walk(recipe: Recipe) -> tuple:
    return recipe.sampler, recipe.times


@pytest.mark.parametrize(
    ("said", "first", "last"),
    [
        ("Hires sampler: LMS", (Euler(), KarrasGrid()), (LMS(), KarrasGrid())),
        ("Hires sampler: DPM2, Hires schedule type: Exponential", (Euler(), KarrasGrid()),
         (DPM2(), DiscardPenultimateGrid(LogSNRGrid()))),
        ("Hires sampler: Use same sampler, Hires schedule type: Use same scheduler", (Euler(), KarrasGrid()),
         (Euler(), KarrasGrid())),
    ],
)  # fmt: skip
def test_the_second_walk_of_that_page_may_have_a_sampler_of_its_own(said: str, first, last) -> None:
    recipe, _ = recipe_of(read_a1111(f"{TEXT}Denoising strength: 0.7, Hires upscale: 2, {said}"), "mini")
    assert _walk(recipe.start.before(recipe)) == first
    assert (recipe.sampler, recipe.times) == last
    again, _ = recipe_of(read_a1111(parameters(recipe)), "mini")
    assert again == recipe


def test_each_walk_says_its_own_sampler_to_that_page() -> None:
    fix = HiresFix(2.0, 0.55, of="steps", first_steps=4, unit=False, first_sampler=Euler(), first_times=KarrasGrid())
    made = Recipe(start=fix, width=128, height=192, sampler=DDIM(0.5), times=KarrasGrid(), noise=A1111CpuNoise())
    again, _ = recipe_of(read_a1111(parameters(made)), "mini")
    assert _walk(again.start.before(again)) == (Euler(), KarrasGrid())
    assert (again.sampler, again.times) == (DDIM(0.5), KarrasGrid())
    assert "Sampler: Euler, " in parameters(made)


def test_the_first_walk_may_have_a_sampler_and_a_grid_of_its_own() -> None:
    fix = HiresFix(2, 0.5, first_sampler=Heun(), first_times=KarrasGrid())
    small = run(width=64, height=96, sampler=Heun(), times=KarrasGrid()).image
    large = small.resize((128, 192), PICTURES["lanczos"][1])
    by_hand = run(start=SDEdit(large, 0.5), width=128, height=192, sampler="ddim").image
    made = run(start=fix, width=128, height=192, sampler="ddim")
    assert np.array_equal(np.asarray(made.image), np.asarray(by_hand))
    assert Recipe.from_json(made.recipe.to_json()).start == fix


def test_the_first_walk_may_be_told_other_words_and_be_guided_otherwise() -> None:
    own = {"first_prompt": "a boat on the sea", "first_negative": "at night", "first_guidance": [ClassifierFree(7.0)]}
    small = mini()(own["first_prompt"], negative="at night", guidance=[ClassifierFree(7.0)], width=64, height=96,
                   steps=3, seed=5, noise="torch").image  # fmt: skip
    large = small.resize((128, 192), PICTURES["lanczos"][1])
    by_hand = run(start=SDEdit(large, 0.5), width=128, height=192).image
    made = run(start=HiresFix(2, 0.5, **own), width=128, height=192)
    assert np.array_equal(np.asarray(made.image), np.asarray(by_hand))
    assert Recipe.from_json(made.recipe.to_json()) == made.recipe


def test_an_edit_by_attention_is_of_the_first_walk() -> None:
    edit = sfumato.PromptToPrompt("a painting of a woman in a blue jacket", blend=["jacket"])
    small = run(width=128, height=128, attention=edit).image
    by_hand = run(start=SDEdit(small.resize((256, 256), PICTURES["lanczos"][1]), 0.4), width=256, height=256).image
    made = run(start=HiresFix(2, 0.4), width=256, height=256, attention=edit).image
    assert np.array_equal(np.asarray(made), np.asarray(by_hand))
    assert not np.array_equal(np.asarray(small), np.asarray(run(width=128, height=128).image))


def test_what_we_write_of_it_reads_as_what_it_was() -> None:
    fix = HiresFix(2.0, 0.55, "lanczos", of="steps", first_steps=9, unit=False)
    made = Recipe(prompt="a boat", start=fix, width=128, height=192, steps=7, sampler=Euler(), noise=A1111CpuNoise(),
                  times=KarrasGrid())  # fmt: skip
    again, _ = recipe_of(read_a1111(parameters(made)), "mini")
    for field in ("start", "width", "height", "steps", "times", "sampler"):
        assert getattr(again, field) == getattr(made, field)
