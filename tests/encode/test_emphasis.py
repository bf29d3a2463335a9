"""What weights of words do, beside the arithmetic of the tools that it is, written out."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from encode.test_clip_text import embed, encoded
from hypothesis import given
from hypothesis import strategies as st
from stock import t5_tokenizer
from stock.flux import t5

import sfumato
from sfumato.emphasis import Emphasis, FromEmpty, Ignored, MeanRestored, Unscaled
from sfumato.encode import ClipTexts, T5Text
from sfumato.encode.chunks import grouped
from sfumato.encode.clip_text import ClipText
from sfumato.network.engine import Eager
from sfumato.network.t5_encoder import T5_ENCODER
from sfumato.recipe import Recipe, parameters
from sfumato.recipe.prompt import parse
from sfumato.recipe.replay import read_a1111, recipe_of

LONG = "an oil painting of a woman by the sea, " * 4
PROMPTS = (
    "a (red:1.5) boat",
    f"{LONG}(a hat with a red ribbon:1.4), {LONG}[a dog] {LONG}",
    "a (((red)) boat:0)",
    "a boat",
)


def comfyui(text: ClipText, prompt: str) -> torch.Tensor:
    """ComfyUI's own order of doing it: words into batches of the window, each batch encoded, then each token moved away
    from the same place in an encoded batch of no words."""
    first, last = text.tokenizer.bos_token_id, text.tokenizer.eos_token_id
    groups = [[(token, weight) for token in text._ids(words)] for part in parse(prompt) for words, weight in part]
    batches = [[(first, 1.0)]]
    for group in groups:
        large, left = len(group) >= 8, list(group)
        while left:
            space = text.window - len(batches[-1]) - 1
            if len(left) > space:
                if large:
                    batches[-1] += left[:space]
                    left = left[space:]
                batches.append([(first, 1.0)])
            else:
                batches[-1] += left
                left = []
    filled = [[*batch, *[(last, 1.0)] * (text.window - len(batch))] for batch in batches]
    empty = [first, *[last] * (text.window - 1)]
    with torch.no_grad():
        z = text.run(ids=torch.tensor([[token for token, _ in batch] for batch in filled] + [empty]))
    for i, batch in enumerate(filled):
        for j, (_, weight) in enumerate(batch):
            if weight != 1.0:
                z[i][j] = (z[i][j] - z[-1][j]) * weight + z[-1][j]
    return torch.cat(list(z[:-1]))[None]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_from_empty_is_comfyui_s_arithmetic(text: ClipText, prompt: str) -> None:
    assert text.tokenizer.pad_token_id == text.tokenizer.eos_token_id, "as ComfyUI fills up a window"
    torch.testing.assert_close(embed(text.weighing(FromEmpty()), prompt), comfyui(text, prompt), rtol=0, atol=2e-5)


def test_each_way_says_something_else_and_none_without_weights(text: ClipText) -> None:
    weighed, plain = encoded(text, "a red boat"), embed(text, "a (red:1.5) boat")
    place = 1 + [text.tokenizer.decode([token]) for token in text._ids("a red boat")].index("red")
    ways = {way: embed(text.weighing(way), "a (red:1.5) boat") for way in (Unscaled(), Ignored(), FromEmpty())}
    assert torch.equal(ways[Ignored()], weighed)
    assert torch.equal(ways[Unscaled()][0, place], 1.5 * weighed[0, place])
    assert torch.equal(ways[Unscaled()][0, :place], weighed[0, :place])
    assert torch.equal(embed(text.weighing(MeanRestored()), "a (red:1.5) boat"), plain)
    assert not torch.equal(ways[FromEmpty()], plain)
    for way in Emphasis.registry.classes.values():
        assert torch.equal(embed(text.weighing(way()), "a red boat"), weighed)


@given(sizes=st.lists(st.lists(st.integers(0, 30), max_size=8), min_size=1, max_size=4), together=st.integers(1, 9))
def test_chunks_of_groups_are_full_and_keep_small_groups(sizes: list[list[int]], together: int) -> None:
    number = iter(range(10_000))
    parts = [[[(next(number), 1.0) for _ in range(size)] for size in part] for part in sizes]
    found = grouped(parts, 10, together)
    assert [token for chunk in found for token in chunk] == [
        token for part in parts for group in part for token in group
    ]
    assert all(len(chunk) <= 10 for chunk in found)
    where = {token: n for n, chunk in enumerate(found) for token, _ in chunk}
    small = [group for part in parts for group in part if 0 < len(group) < together]
    assert all(len({where[token] for token, _ in group}) == 1 for group in small)


def test_several_encoders_weigh_alike_and_t5_does_too(text: ClipText) -> None:
    prompts = [parse("a (red:1.5) boat"), parse("a boat")]
    other = text.weighing(FromEmpty())
    pooling = ClipText(text.tokenizer, lambda ids: (text.run(ids=ids), text.run(ids=ids)[:, 0]), text.window)
    both = ClipTexts([pooling, pooling]).weighing(FromEmpty()).embed(prompts)
    assert torch.equal(both.embeds, torch.cat([other.embed(prompts).embeds] * 2, -1))
    assert both.pooled is not None
    assert len(both.pooled) == 2
    torch.manual_seed(0)
    words = T5Text(t5_tokenizer(100), Eager().prepare(t5(32), T5_ENCODER), 16, masked=True)
    found, plain = (each.embed(prompts) for each in (words.weighing(FromEmpty()), words.weighing(Ignored())))
    nothing = words.embed([()]).embeds[0]
    weights = [weight for _, weight in words.tokens(prompts[0])]
    for i, weight in enumerate(weights):
        expected = plain.embeds[0, i] if weight == 1 else nothing[i] + weight * (plain.embeds[0, i] - nothing[i])
        torch.testing.assert_close(found.embeds[0, i], expected)
    assert torch.equal(found.embeds[1], plain.embeds[1])
    assert found.mask is not None
    assert found.mask.shape == (2, 16)


def test_a_recipe_says_it_and_an_older_one_means_a1111_s(tiny_model) -> None:
    pipe = sfumato.load(tiny_model)
    options = {"steps": 3, "seed": 1}
    painted = {name: np.asarray(pipe("a (red:1.9) boat", emphasis=name, **options).image) for name in Emphasis.registry}
    assert len(painted) == 4
    assert len({each.tobytes() for each in painted.values()}) >= 3, "a small encoder's mean may be no measure of scale"
    recipe = pipe.recipes("a (red:1.9) boat", emphasis="from-empty", **options)[0]
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert np.array_equal(np.asarray(pipe.run([recipe]).image), painted["from-empty"])
    old = json.loads(recipe.to_json())
    del old["emphasis"]
    assert Recipe.from_json(json.dumps(old)).emphasis == MeanRestored()


@pytest.mark.parametrize(
    ("said", "way"), [("", MeanRestored()), (", Emphasis: No norm", Unscaled()), (", Emphasis: Ignore", Ignored())]
)
def test_a1111_s_names_of_it(said: str, way: Emphasis) -> None:
    written = parameters(Recipe("a (red:1.2) boat", emphasis=way, width=64, height=64))
    assert ("Emphasis" in written) == bool(said)
    assert said in written
    recipe, remarks = recipe_of(read_a1111(written), "mini")
    assert recipe.emphasis == way
    assert not any("Emphasis" in each for each in remarks)


@pytest.mark.parametrize(
    ("prompt", "parts"),
    [
        ("a BREAK b", ((("a", 1.0),), (("b", 1.0),))),
        (
            "(a BREAK b:2) BREAK c",
            (
                (
                    ("a ", 2.0),
                    ("BREAK", -2.0),
                    (" b", 2.0),
                ),
                (("c", 1.0),),
            ),
        ),
        (r"\(a BREAK b\)", ((("(a", 1.0),), (("b)", 1.0),))),
        ("(a) BREAK b [c BREAK", ((("a", 1.1),), (("b ", 1.0), ("c ", 1 / 1.1), ("BREAK", -1 / 1.1)))),
    ],
)
def test_a1111_takes_a_break_within_brackets_for_a_word(prompt: str, parts: Any) -> None:
    """Its parser gives a BREAK the weight -1, which brackets multiply, and knows it by that weight."""
    recipe, _ = recipe_of(read_a1111(f"{prompt}\nSteps: 5, Sampler: Euler, Seed: 1, Size: 64x64"), "mini")
    found = tuple(tuple((words, weight) for words, weight in part if words.strip()) for part in parse(recipe.prompt))
    assert [[words for words, _ in part] for part in found] == [[words for words, _ in part] for part in parts]
    for part, wanted in zip(found, parts, strict=True):
        assert [weight for _, weight in part] == pytest.approx([weight for _, weight in wanted])


LITERAL = "a (red) [boat]\nSteps: 5, Sampler: Euler, Seed: 1, Emphasis: None, Size: 64x64"


def test_a1111_s_brackets_may_be_brackets() -> None:
    recipe, _ = recipe_of(read_a1111(LITERAL), "mini")
    assert parse(recipe.prompt) == ((("a (red) [boat]", 1.0),),)
