"""Prompts that change over the steps, in runs of a model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import sfumato
from sfumato.condition import Condition, ScheduledText, Text
from sfumato.denoise import Prediction, bind
from sfumato.edit import Inverted, NoiseStart, PromptToPrompt, SDEdit
from sfumato.guide import ClassifierFree, Guided
from sfumato.model.batch import Batch
from sfumato.model.look import look_attention
from sfumato.picture import BadInput
from sfumato.recipe import Recipe
from sfumato.sample import Sampler, trajectory


@pytest.fixture(scope="module")
def pipe(tiny_model: Path) -> sfumato.Pipe:
    return replace(sfumato.load(tiny_model), size=(16, 16))


@pytest.fixture(scope="module")
def recipe(pipe: sfumato.Pipe) -> Recipe:
    return Recipe(model=pipe.name, steps=6, sampler="ddim", seed=3)


def drawn(pipe: sfumato.Pipe, recipe: Recipe, prompt: str, **others: object) -> list[list[int]]:
    return np.asarray(pipe.run(replace(recipe, prompt=prompt, **others)).image).tolist()


def test_each_step_is_told_the_words_of_its_own(pipe, recipe):
    """Against a loop that is told them by hand."""
    said = ["a boat"] * 2 + ["a red cat"] * 4
    batch = Batch(pipe.stage, [pipe.resolve(replace(recipe, prompt="a boat"))], pipe.size)
    times, walk, noise = batch.times(), Sampler.registry.named("ddim"), batch.noise
    x, _ = NoiseStart(batch.like)(batch.denoise(), batch.times, noise)
    for i, prompt in enumerate(said):
        denoise = batch.denoise([ClassifierFree(5.0)], prompt=prompt)
        [step] = trajectory(denoise, walk, x, times[i : i + 2], noise)
        x = step.x
    by_hand = np.asarray(batch.pictures(x)[0]).tolist()
    assert drawn(pipe, recipe, "a [boat:red cat:2]") == by_hand
    assert by_hand not in (drawn(pipe, recipe, "a boat"), drawn(pipe, recipe, "a red cat"))


def test_a_prompt_that_never_comes_to_change_is_the_plain_one_to_the_bit(pipe, recipe):
    plain = drawn(pipe, recipe, "a boat")
    for prompt in ("a [boat:cat:1.0]", "a [cat:boat:0]", "a [boat|boat]", "[a boat::6]"):
        assert drawn(pipe, recipe, prompt) == plain
    assert drawn(pipe, recipe, "a [boat|cat]") != plain


def test_a_negative_prompt_changes_too(pipe, recipe):
    early = drawn(pipe, recipe, "a boat", negative="[red::0.5]")
    assert early != drawn(pipe, recipe, "a boat")
    assert early != drawn(pipe, recipe, "a boat", negative="red")
    assert drawn(pipe, recipe, "a boat", negative="[red::6]") == drawn(pipe, recipe, "a boat", negative="red")


def test_a_share_is_of_the_steps_that_are_walked(pipe, recipe):
    """From strength 0.5 six steps of half the length, of which three are told the first word."""
    start = SDEdit(pipe.run(replace(recipe, prompt="a boat")).image, 0.5)
    half = drawn(pipe, recipe, "a [boat:cat:0.5]", start=start)
    assert half == drawn(pipe, recipe, "a [boat:cat:3]", start=start)
    assert half not in (drawn(pipe, recipe, "a boat", start=start), drawn(pipe, recipe, "a cat", start=start))
    assert (
        drawn(pipe, recipe, "a [boat:cat:3]", start=replace(start, strength=0))
        == np.asarray(sfumato.picture.fetch(start.picture)).tolist()
    )


def test_alone_or_in_a_batch_and_of_however_many_chunks(pipe, recipe):
    prompts = ["a [boat:cat:2]", "a [red|blue] hat", "a plain boat", "a [boat BREAK at sea:4] here"]
    recipes = [replace(recipe, prompt=prompt) for prompt in prompts]
    together = pipe.run(recipes).images
    for alone, image in zip(recipes, together, strict=True):
        apart = np.asarray(pipe.run(alone).image).astype(int) - np.asarray(image)
        assert np.abs(apart).max() <= 1


def test_what_needs_words_that_stand_still_says_so(pipe, recipe):
    picture = pipe.run(replace(recipe, prompt="a boat")).image
    asked = replace(recipe, prompt="a [boat:cat:2]")
    with pytest.raises(BadInput, match="changes over the steps, and Prompt-to-Prompt needs words that stand still"):
        pipe.run(replace(asked, attention=PromptToPrompt("a boat")))
    with pytest.raises(BadInput, match="null-text optimisation needs words that stand still"):
        pipe.run(replace(asked, start=Inverted(picture, null=1)))
    with pytest.raises(BadInput, match="joins prompts by AND, and Prompt-to-Prompt"):
        pipe.run(replace(recipe, prompt="a boat AND a cat", attention=PromptToPrompt("a boat")))
    with pytest.raises(BadInput, match="each word has one map"):
        look_attention(pipe, asked)
    with pytest.raises(BadInput, match="the weight 101"):
        pipe.run(replace(recipe, prompt="a [boat:(cat:101):2]"))


def test_prompts_joined_by_and_are_drawn_as_their_weights_say(pipe, recipe):
    """Against guidance put together by hand; a second prompt of no weight changes nothing but the last bit."""
    both = drawn(pipe, recipe, "a boat :0.7 AND a red cat :0.5")
    batch = Batch(pipe.stage, [pipe.resolve(recipe)], pipe.size)
    told = [batch.denoise(prompt=prompt) for prompt in ("a boat", "a red cat", "")]
    x, times = NoiseStart(batch.like)(told[0], batch.times, batch.noise)

    def by_hand(x: torch.Tensor, t: torch.Tensor) -> Prediction:
        with torch.no_grad():
            boat, cat, none = (denoise(x, t) for denoise in told)
        x0, eps = (
            getattr(none, name)
            + 5 * sum(w * (getattr(c, name) - getattr(none, name)) for w, c in ((0.7, boat), (0.5, cat)))
            for name in ("x0", "eps")
        )
        return none.moved(x0=x0, eps=eps)

    by_hand.schedule = batch.schedule  # type: ignore[attr-defined]
    for step in trajectory(by_hand, Sampler.registry.named("ddim"), x, times, batch.noise):
        x = step.x
    assert np.abs(np.asarray(both) - np.asarray(batch.pictures(x)[0]).astype(int)).max() <= 1
    alone = np.asarray(drawn(pipe, recipe, "a boat"))
    assert np.abs(np.asarray(drawn(pipe, recipe, "a boat AND a cat :0")) - alone).max() <= 1
    assert np.abs(both - alone).max() > 5
    changing = drawn(pipe, recipe, "a [boat:hat:3] AND a red cat :0.5")
    assert changing not in (
        drawn(pipe, recipe, "a boat AND a red cat :0.5"),
        drawn(pipe, recipe, "a hat AND a red cat :0.5"),
    )


def test_a_scheduled_text_in_rows_and_at_times_of_their_own():
    first, second = (Text(torch.full((2, 3, 4), float(k)), negative=Text(torch.zeros(1, 3, 4))) for k in (1, 2))
    part = ScheduledText.of([first, second], [float("inf"), 0.5])
    condition = Condition((part,))
    assert condition.at(0.6).get(Text) is first
    assert condition.at(torch.tensor(0.5)).get(Text) is second
    assert condition.at(torch.tensor([0.9, 0.1])).get(Text).embeds[:, 0, 0].tolist() == [1, 2]
    rows = Condition.cat([condition.select([1]), condition]).at(0.1).get(Text)
    assert rows.embeds[:, 0, 0].tolist() == [2, 2, 2]
    assert condition.to(torch.float64).at(0.1).get(Text).embeds.dtype == torch.float64
    assert ScheduledText.of([first], [float("inf")]) is first

    seen = []

    def network(x, t, condition):
        seen.append(condition.get(Text).embeds[:, 0, 0].tolist())
        return x

    from sfumato.denoise import Preconditioned
    from sfumato.schedule import Cosine

    denoise = bind(Guided(Preconditioned(network, Cosine(), "x0", "t"), [ClassifierFree(2.0)]), condition)
    for t in (0.9, 0.4):
        denoise(torch.zeros(2, 1, 2, 2), torch.tensor(t, dtype=torch.float64))
    assert seen == [[1, 1, 0, 0], [2, 2, 0, 0]]
