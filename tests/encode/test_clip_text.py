"""Words to embeddings: weights, chunks, and plain prompts as they always were."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import sfumato
from sfumato.emphasis import MeanRestored
from sfumato.encode.chunks import chunks
from sfumato.encode.clip_text import ClipText
from sfumato.guide import ClipGuidance
from sfumato.picture import BadInput
from sfumato.recipe import Recipe
from sfumato.recipe.prompt import parse, plain

COMMA, ROOM = 7, 10
TOKENS = st.lists(st.tuples(st.sampled_from([1, 2, 3, COMMA]), st.just(1.0)), max_size=60)


def tokens(text: ClipText, *prompts: str) -> torch.Tensor:
    return text.tokenizer(list(prompts), padding="max_length", max_length=text.window, return_tensors="pt").input_ids


def embed(text: ClipText, *prompts: str) -> torch.Tensor:
    return text.embed([parse(prompt) for prompt in prompts]).embeds


def encoded(text: ClipText, *prompts: str) -> torch.Tensor:
    """As every pipeline does it: the tokenizer's own padding, then the encoder."""
    with torch.no_grad():
        return text.run(ids=tokens(text, *prompts))


@pytest.mark.parametrize("prompt", ["", "a boat", "an oil painting of a man, wearing a red hat; 3 boats", " A  Boat "])
def test_a_plain_prompt_is_the_encoder_s_own_answer_to_the_bit(text, prompt):
    assert torch.equal(embed(text, prompt), encoded(text, prompt))
    part = text.text([parse(prompt), parse("a dog")], [parse("")] * 2)
    assert torch.equal(part.embeds, encoded(text, prompt, "a dog", "")[:2] if prompt else part.embeds)


@pytest.mark.parametrize("prompt", ["a (red:1.0) hat", "a ([red]) hat", r"a \(red hat\)"])
def test_weights_of_one_and_escapes_change_no_bit(text, prompt):
    assert torch.equal(embed(text, prompt), encoded(text, plain(prompt)))


def test_weights_multiply_their_tokens_and_keep_the_mean():
    torch.manual_seed(0)
    embeds, weights = torch.randn(3, 5, 8) + 0.5, torch.ones(3, 5)
    weights[1, 2], weights[2] = 1.6, 2.0
    out = MeanRestored().weighed(embeds, weights, None)
    torch.testing.assert_close(out.mean((1, 2)), embeds.mean((1, 2)))
    assert torch.equal(out[0], embeds[0])
    torch.testing.assert_close(out[1, 2] / out[1, 0], 1.6 * embeds[1, 2] / embeds[1, 0])
    torch.testing.assert_close(out[2], embeds[2])  # all twice as much is none more than another


def test_a_mean_that_is_mere_cancellation_is_not_kept():
    embeds = torch.randn(1, 5, 8)
    embeds -= embeds.mean() - 1e-6
    weights = torch.tensor([[1.0, 1.0, 0.5, 1.0, 1.0]])
    assert torch.equal(MeanRestored().weighed(embeds, weights, None), embeds * weights[..., None])
    assert torch.equal(MeanRestored().weighed(torch.zeros(1, 5, 8), weights, None), torch.zeros(1, 5, 8))


def test_the_weight_reaches_the_word_s_own_token(text):
    [chunk] = text.cut(parse("a (red:1.6) hat, (painting)"))
    assert [weight for _, weight in chunk] == pytest.approx([1, 1.6, 1, 1, *[1.1] * (len(chunk) - 4)])
    assert [token for token, _ in chunk] == tokens(text, "a red hat, painting")[0, 1 : 1 + len(chunk)].tolist()
    moved = embed(text, "a (red:1.6) hat") / encoded(text, "a red hat")
    torch.testing.assert_close(moved[0, 2], torch.full_like(moved[0, 2], 1.6))
    assert moved[0, [0, 1, 3, 4, 20]].eq(1).all()


def test_a_long_prompt_is_read_in_chunks_each_by_itself(text):
    room = text.window - 2
    words = ["boat"] * (room + 5)
    long, first, rest = " ".join(words), " ".join(words[:room]), " ".join(words[room:])
    torch.testing.assert_close(embed(text, long), torch.cat([encoded(text, first), encoded(text, rest)], 1))
    torch.testing.assert_close(embed(text, f"{first} BREAK {rest}"), embed(text, long))


def test_the_negative_branch_has_as_many_chunks(text):
    part = text.text([parse("a boat BREAK a dog BREAK a hat"), parse("a vase")], [parse("night")] * 2)
    assert part.embeds.shape == part.null().embeds.shape == (2, 3 * text.window, 192)
    torch.testing.assert_close(part.null().embeds[:1], torch.cat([encoded(text, "night")] * 3, 1))
    torch.testing.assert_close(part.embeds[1:], torch.cat([encoded(text, "a vase")] * 3, 1))
    two = text.text([parse("a boat BREAK a dog BREAK a hat")], [parse("night BREAK rain")])
    assert two.embeds.shape[1] == 6 * text.window  # which both 2 and 3 divide
    night = torch.cat([encoded(text, "night"), encoded(text, "rain")], 1)
    torch.testing.assert_close(two.null().embeds, torch.cat([night] * 3, 1))
    nothing = encoded(text, "")
    once = text.placed().text([parse("a boat BREAK a dog BREAK a hat")], [parse("night")])
    torch.testing.assert_close(once.null().embeds, torch.cat([encoded(text, "night"), nothing, nothing], 1))
    assert (text.length([7, 8, 9]), text.length([3, 4]), text.length([6, 2, 1])) == (9, 12, 6)


def test_a_text_that_is_said_several_times_paints_what_it_paints_alone() -> None:
    """As in A1111's page and ComfyUI: a short negative prompt says the same beside a long prompt."""
    pipe = sfumato.load("mini")
    x = torch.randn(1, 12, 16, 16, generator=torch.Generator().manual_seed(0))
    answers = []
    for prompt in ("a boat", "a boat BREAK a dog BREAK a hat"):
        (recipe,) = pipe.recipes(prompt, negative="at night", seed=1)
        batch = pipe.batch([pipe.resolve(recipe)])
        with torch.no_grad():
            answers.append(batch.stage.denoiser(x, torch.tensor(0.7), batch.condition().null()).x0)
    torch.testing.assert_close(answers[0], answers[1], atol=1e-4, rtol=1e-4)


def test_a_prompt_of_too_many_chunks_is_refused(text):
    with pytest.raises(BadInput, match=r"33 chunks of 46, and this model reads at most 32 chunks; shorten it\.$"):
        embed(text, "boat BREAK " * 33)
    assert len(text.cut(parse("boat " * 32 * 46))) == 32


@given(st.lists(TOKENS, min_size=1, max_size=4))
def test_chunks_lose_no_token_and_fit(parts):
    cut = chunks(parts, ROOM, COMMA, back=4)
    assert all(len(chunk) <= ROOM for chunk in cut)
    assert [token for chunk in cut for token in chunk] == [token for part in parts for token in part]


def numbered(*commas: int, count: int = 15) -> list[tuple[int, float]]:
    return [(COMMA if i in commas else 100 + i, 1.0) for i in range(count)]


@pytest.mark.parametrize(
    ("commas", "first"),
    [((), 10), ((9,), 10), ((7,), 8), ((3, 6), 7), ((5,), 10), ((7, 10), 10)],
    ids=["none", "at the end", "near", "the last of two", "too far back", "the next token is one"],
)
def test_a_full_chunk_ends_behind_a_comma_that_is_near(commas, first):
    cut = chunks([numbered(*commas)], ROOM, COMMA, back=4)
    assert [len(chunk) for chunk in cut] == [first, 15 - first]


def test_parts_begin_chunks_and_an_empty_last_one_is_left_out():
    one, two = numbered(count=2), numbered(count=3)
    assert chunks([one, two], ROOM) == [one, two]
    assert chunks([[], one, []], ROOM) == [[], one]
    assert chunks([[]], ROOM) == [[]]


@pytest.mark.slow
def test_more_weight_on_red_makes_a_redder_picture():
    pipe = sfumato.load("mini")
    caption = "an oil painting of a man wearing a {} jacket in a town on a sunny day"

    def redness(word: str) -> np.ndarray:
        images = pipe(caption.format(word), steps=6, seed=7, count=2).images
        pixels = np.stack([np.asarray(image, float) for image in images])
        return (pixels[..., 0] - pixels[..., 1:].mean(-1)).mean((1, 2))

    assert (redness("(red:1.6)") > redness("red") + 2).all()


def test_clip_guidance_reads_the_words_without_their_weights():
    pipe = sfumato.load("mini")
    images = [
        pipe(prompt, guidance=[ClipGuidance(3.0)], steps=2, seed=1).image for prompt in ("a red hat", "a (red:1.0) hat")
    ]
    assert np.array_equal(*map(np.asarray, images))


def test_clip_guidance_sees_latents_of_other_sizes_than_it_was_trained_on():
    pipe = sfumato.load("mini")
    guided, free = (
        pipe("a red boat", guidance=guidance, steps=2, seed=1, width=160, height=96).image
        for guidance in ([ClipGuidance(5.0)], [])
    )
    assert guided.size == (160, 96)
    assert not np.array_equal(guided, free)


def test_a_longer_prompt_beside_it_changes_no_picture(tiny_model):
    pipe = sfumato.load(tiny_model, engine="exact")
    long = Recipe("a boat BREAK a dog", model=str(tiny_model), engine="exact", steps=2)
    short, other = (replace(long, prompt="a boat", seed=seed) for seed in (1, 2))
    together = pipe.run([short, long, other]).images
    for recipe, image in zip((short, long, other), together, strict=True):
        assert np.array_equal(np.asarray(image), np.asarray(pipe.run(recipe).image))
