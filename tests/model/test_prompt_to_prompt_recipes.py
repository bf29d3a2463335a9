"""Prompt-to-Prompt as a recipe asks for it: by real tokens, in whole runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import sfumato
from sfumato.condition import Injection
from sfumato.edit import Inverted, NoiseStart, Outside, PromptToPrompt, SDEdit
from sfumato.guide import ClassifierFree, PerturbedAttention
from sfumato.model.batch import Batch, unweighted
from sfumato.noise import KeyedNoise
from sfumato.picture import BadInput
from sfumato.recipe import Recipe
from sfumato.sample import Sampler, trajectory

SOURCE, TARGET = "a woman in a red hat", "a woman in a blue hat by the sea"


@pytest.fixture(scope="module")
def pipe(tiny_model):
    return sfumato.load(str(tiny_model), engine="exact")


@pytest.fixture
def recipe(pipe):
    edit = PromptToPrompt(SOURCE, 0.8, 0.5)
    return Recipe(TARGET, model=pipe.name, engine="exact", steps=4, seed=5, attention=edit)


def bytes_of(result) -> list[bytes]:
    return [image.tobytes() for image in result.images]


def walked(pipe, recipe: Recipe) -> torch.Tensor:
    """x of the edited rows and then of their companions at the end."""
    batch = Batch(pipe.stage, [pipe.resolve(recipe)], pipe.size)
    guidances = [guidance.bind(batch) for guidance in recipe.guidance]
    both = recipe.attention.bind(batch, guidances, NoiseStart(batch.like))
    x = batch.noise(batch.like, "start").repeat(2, 1, 1, 1)
    noise = KeyedNoise(batch.noise.seeds * 2)
    *_, last = trajectory(both.denoise, Sampler.registry.named("dpmpp-2m"), x, batch.times(), noise)
    return last.x


def test_the_companion_is_the_picture_that_the_source_makes(pipe, recipe):
    both = walked(pipe, recipe)
    resolved = Batch(pipe.stage, [pipe.resolve(recipe)], pipe.size)
    batch = replace(resolved, recipes=resolved.companions)
    plain = batch.denoise([guidance.bind(batch) for guidance in recipe.guidance])
    x = batch.noise(batch.like, "start")
    *_, last = trajectory(plain, Sampler.registry.named("dpmpp-2m"), x, batch.times(), batch.noise)
    assert torch.equal(both[1:], last.x)
    assert (both[:1] - last.x).abs().max() > 1e-3


def test_a_neutral_edit_is_none_to_the_byte(pipe, recipe):
    neutral = replace(recipe, attention=PromptToPrompt(SOURCE, 0.0, 0.0))
    assert bytes_of(pipe.run(neutral)) == bytes_of(pipe.run(replace(recipe, attention=None)))
    assert bytes_of(pipe.run(recipe)) != bytes_of(pipe.run(neutral))


def test_nothing_to_change_changes_nothing(pipe, recipe):
    same = replace(recipe, prompt=SOURCE, attention=PromptToPrompt(SOURCE, 1.0, 1.0))
    plain = np.asarray(pipe.run(replace(same, attention=None)).image, int)
    assert np.abs(np.asarray(pipe.run(same).image, int) - plain).max() <= 1


def test_a_batch_of_pairs_is_each_pair_alone(pipe, recipe):
    others = [
        replace(recipe, prompt="a red boat", seed=9, attention=replace(recipe.attention, source="a boat")),
        replace(recipe, prompt="three cats", seed=9, attention=PromptToPrompt("two dogs", blend=("cats",))),
        replace(recipe, prompt="two cats", seed=2, attention=PromptToPrompt("two dogs", blend=("two", "dogs"))),
        replace(recipe, prompt="a hat", seed=2, attention=PromptToPrompt("a boat", blend=("a", "hat"))),
    ]
    together = bytes_of(pipe.run([recipe, *others]))
    assert together == [bytes_of(pipe.run(each))[0] for each in (recipe, *others)]


@pytest.mark.parametrize("name", ["ddpm", "heun", "dpmpp-2m-sde", "predictor-corrector"])
def test_every_kind_of_sampler_takes_it(pipe, recipe, name):
    made = pipe.run(replace(recipe, sampler=name, steps=3)).image
    assert made.size == pipe.size
    assert np.asarray(made).std() > 0


def test_it_composes_with_start_hold_guidance_and_composite(pipe, recipe):
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8))
    mask = Image.new("L", (32, 32))
    mask.paste(255, (0, 0, 16, 32))
    guidance = (ClassifierFree(4.0, (0.0, 0.7)), PerturbedAttention(2.0))
    whole = replace(recipe, start=SDEdit(picture, 0.7), hold=Outside(mask), guidance=guidance)
    made, source = np.asarray(pipe.run(whole).image), np.asarray(picture)
    assert np.array_equal(made[:, 16:], source[:, 16:])
    assert not np.array_equal(made[:, :16], np.asarray(pipe.run(replace(whole, attention=None)).image)[:, :16])


def test_weights_scale_the_maps_of_their_words_and_not_their_embeddings(pipe, recipe):
    assert unweighted(r"a (red:1.6) hat BREAK [a \(b\)]") == r"a  red  hat BREAK a \(b\)"
    plain = bytes_of(pipe.run(recipe))
    one = replace(recipe, prompt="a woman in a (blue:1) hat by the sea")
    more = replace(recipe, prompt="a woman in a (blue:3) hat by the sea")
    assert bytes_of(pipe.run(one)) == plain
    assert bytes_of(pipe.run(more)) != plain
    batch = Batch(pipe.stage, [pipe.resolve(more)], pipe.size)
    edit = more.attention.bind(batch, [], NoiseStart(batch.like))
    part = edit.denoise.condition.get(Injection)
    assert part is not None
    assert (part.weight[0] == 3).nonzero().tolist() == [[5]]
    assert bool((part.weight[1] == 1).all())


def test_blending_leaves_the_source_where_no_word_looks(pipe, recipe):
    """The whole picture is the source's but for the mask, which holds neither nothing nor all."""
    blended = replace(recipe, attention=replace(recipe.attention, blend=("hat", "sea"), threshold=0.9))
    made = pipe.run(blended).image
    assert made.tobytes() != pipe.run(recipe).image.tobytes()
    batch = Batch(pipe.stage, [pipe.resolve(blended)], pipe.size)
    edit = blended.attention.bind(batch, [], NoiseStart(batch.like))
    x = batch.noise(batch.like, "start")
    blend = edit.loop.keywords["blend"]
    *_, last = edit.loop(edit.denoise, Sampler.registry.named("dpmpp-2m"), x, batch.times(), batch.noise)
    mask = blend.mask(x.shape[-2:])
    source = Batch(pipe.stage, batch.companions, pipe.size)
    *_, plain = trajectory(source.denoise(), Sampler.registry.named("dpmpp-2m"), x, source.times(), source.noise)
    outside = ~mask.expand_as(x)
    assert 0 < outside.float().mean() < 1
    assert torch.equal(last.x[outside], plain.x[outside])
    assert not torch.equal(last.x, plain.x)


def test_outside_the_blended_words_an_inverted_picture_keeps_its_bytes(pipe, recipe):
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)) for _ in range(2)]
    edit = PromptToPrompt(SOURCE, blend=("hat",), threshold=0.95)
    for picture in pictures:
        whole = replace(recipe, start=Inverted(picture, 1.0, SOURCE, 0), attention=edit, steps=3)
        result = pipe.run(whole)
        (mask,) = result.masks
        assert mask is not None
        outside = np.asarray(mask) == 0
        assert 0 < outside.mean() < 1
        assert np.array_equal(np.asarray(result.image)[outside], np.asarray(picture)[outside])
        bare = np.asarray(pipe.run(replace(whole, composite="none")).image)
        assert not np.array_equal(bare[outside], np.asarray(picture)[outside])
        assert np.array_equal(bare[~outside], np.asarray(result.image)[~outside])


def test_long_prompts_are_aligned_chunk_by_chunk(pipe, recipe):
    long = ", ".join(["a big old house by the sea"] * 9)
    edit = replace(recipe, prompt=f"{long}, a blue hat", attention=PromptToPrompt(f"{long}, a red hat"), steps=2)
    assert pipe.stage.chunks(edit) > 1
    assert pipe.run(edit).image.size == pipe.size


def test_it_is_kept_in_the_recipe(recipe):
    edit = replace(recipe, attention=PromptToPrompt(SOURCE, blend=("hat",)))
    assert Recipe.from_json(edit.to_json()) == edit


@pytest.mark.parametrize(
    ("prompt", "attention", "said"),
    [
        (TARGET, PromptToPrompt(SOURCE, blend=("horse",)), "'horse' to blend by occurs in neither prompt"),
        ("three ships", PromptToPrompt("a red hat"), "have no word in common and differ in length"),
    ],
)
def test_words_that_do_not_match_are_said(pipe, recipe, prompt, attention, said):
    with pytest.raises(BadInput, match=said):
        pipe.run(replace(recipe, prompt=prompt, attention=attention))


def test_fractions_beyond_the_time_and_models_without_words_are_refused(pixel_model):
    with pytest.raises(BadInput, match=r"cross_maps is 1\.5: give a fraction"):
        PromptToPrompt("a", 1.5)
    pixels = sfumato.load(str(pixel_model(how="time")))
    with pytest.raises(BadInput, match="reads no text, which prompt-to-prompt needs"):
        pixels.run(Recipe(model=pixels.name, label="boat", attention=PromptToPrompt("a boat")))


def test_mini_changes_the_word_and_keeps_the_rest_better_than_a_picture_made_anew():
    from sfumato.evaluate.judge import Judge
    from sfumato.space.pixels import to_tensor

    mini = sfumato.load("mini")
    source = Recipe("a watercolour of a woman in a red jacket by the sea on a cloudy day", steps=8, seed=1)
    fresh = replace(source, prompt=source.prompt.replace("red", "blue"))
    edited = replace(fresh, attention=PromptToPrompt(source.prompt, blend=("jacket",)))
    made, anew, kept = to_tensor([*mini.run([source, fresh]).images, mini.run(edited).image]).split(1)
    red = torch.tensor([208, 38, 48])[:, None, None] / 127.5 - 1
    near = ((made - red).square().sum(1, keepdim=True) < 0.6).float()
    rest = torch.nn.functional.max_pool2d(near, 17, 1, 8) == 0
    apart = [float(((x - made).abs() * rest).sum() / rest.sum()) for x in (anew, kept)]
    assert apart[1] < 0.8 * apart[0]
    assert Judge.load().predict(kept)[0]["jacket"] == "blue"
