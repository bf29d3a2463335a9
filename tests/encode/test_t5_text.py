"""Words to T5's embeddings: plain prompts as the tokenizer reads them, weights, and the window."""

from __future__ import annotations

import pytest
import torch
from stock import t5_tokenizer
from stock.flux import t5

from sfumato.emphasis import MeanRestored
from sfumato.encode import T5Text
from sfumato.network.engine import Eager
from sfumato.network.t5_encoder import T5_ENCODER
from sfumato.picture import BadInput
from sfumato.recipe.prompt import parse

WINDOW = 16


@pytest.fixture(scope="module")
def run():
    torch.manual_seed(0)
    return Eager().prepare(t5(32), T5_ENCODER)


@pytest.fixture
def text(run) -> T5Text:
    return T5Text(t5_tokenizer(100), run, WINDOW)


def embed(text: T5Text, *prompts: str) -> torch.Tensor:
    return text.embed([parse(prompt) for prompt in prompts]).embeds


def plain(text: T5Text, prompt: str) -> torch.Tensor:
    """As every pipeline does it: the tokenizer's own padding, then the encoder."""
    ids = text.tokenizer([prompt], padding="max_length", max_length=WINDOW, return_tensors="pt").input_ids
    with torch.no_grad():
        return text.run(ids=ids)


@pytest.mark.parametrize("prompt", ["", "a red hat", "a red  hat, xyz: the sea", "a (red:1.0) ([hat])"])
def test_a_plain_prompt_is_the_encoder_s_own_answer_to_the_bit(text: T5Text, prompt: str):
    from sfumato.recipe.prompt import plain as unmarked

    assert torch.equal(embed(text, prompt), plain(text, unmarked(prompt)))


def test_weights_scale_the_tokens_of_their_words(text: T5Text):
    weights = torch.ones(1, WINDOW)
    weights[0, 1] = 1.5  # a, red, hat
    assert torch.equal(embed(text, "a (red:1.5) hat"), MeanRestored().weighed(plain(text, "a red hat"), weights, None))
    weights[0, 2] = 1.5
    assert torch.equal(embed(text, "a (red hat:1.5)"), MeanRestored().weighed(plain(text, "a red hat"), weights, None))


def test_parts_are_read_as_one_text(text: T5Text):
    assert torch.equal(embed(text, "a red BREAK hat"), plain(text, "a red hat"))


def test_what_does_not_fit_the_window_is_refused(text: T5Text):
    embed(text, "a " * (WINDOW - 1))
    with pytest.raises(BadInput, match=f"is {WINDOW} tokens long.*at most {WINDOW - 1}"):
        embed(text, "a " * WINDOW)
    assert T5Text(t5_tokenizer(8), text.run, 16).window == 8


def test_a_masked_filling_is_hidden_from_the_words(run):
    texts = [T5Text(t5_tokenizer(100), run, window, masked=True) for window in (8, 16)]
    short, long = (text.embed([parse("a red hat")]) for text in texts)
    assert short.mask is not None
    assert short.mask[0].tolist() == [True] * 4 + [False] * 4
    torch.testing.assert_close(short.embeds[:, :4], long.embeds[:, :4])
    open_ = T5Text(t5_tokenizer(100), run, 8).embed([parse("a red hat")])
    assert open_.mask is None
    assert float((open_.embeds - short.embeds)[:, :4].abs().max()) > 1e-3
