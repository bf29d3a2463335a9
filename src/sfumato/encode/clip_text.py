"""Words -> the Text part of a Condition, by a CLIP text encoder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from sfumato.condition import ScheduledText, Text
from sfumato.encode.chunks import Token, chunks
from sfumato.network import Engine, engine
from sfumato.picture import BadInput
from sfumato.recipe import Recipe
from sfumato.recipe.conjunction import conjuncts
from sfumato.recipe.prompt import parse
from sfumato.recipe.prompt_schedule import periods

MOST = 32  # chunks of one prompt


class ClipText:
    """The last hidden state of a CLIP text encoder (after its final layer norm), padded to the tokenizer's window,
    as Stable Diffusion 1 and 2 feed it to their networks.

    Prompts are written in the grammar of `sfumato.recipe.prompt`. One that is longer than the window is read in chunks,
    each between its own first and last token, whose embeddings stand one after the other; shorter ones beside it are
    filled up with chunks of nothing.
    """

    def __init__(self, encoder: Any, tokenizer: Any, execute: Engine | None = None):
        self.encoder, self.tokenizer = encoder, tokenizer
        self.execute = execute or engine("eager")
        self.window = min(int(tokenizer.model_max_length), int(encoder.config.max_position_embeddings))
        self.comma = tokenizer.get_vocab().get(",</w>")

    def tokens(self, texts: Sequence[str]) -> Tensor:
        """Token ids (B, window) of texts without a grammar; `BadInput` when one does not fit."""
        for text in texts:
            count = len(self.tokenizer(text, verbose=False).input_ids)
            if count > self.window:
                raise BadInput(
                    f"The prompt is {count - 2} tokens long and this model's text encoder reads at most "
                    f"{self.window - 2}; shorten it."
                )
        ids = self.tokenizer(list(texts), padding="max_length", max_length=self.window, return_tensors="pt")
        return ids.input_ids

    def chunks(self, prompt: str) -> list[list[Token]]:
        """The (token, weight) of each chunk, without first, last and padding: token i of chunk k is embedded at
        k window + 1 + i. Raises `BadInput` for a prompt of more than 32 chunks."""
        parts = [[(token, weight) for text, weight in part for token in self._ids(text)] for part in parse(prompt)]
        room = self.window - 2
        cut = chunks(parts, room, self.comma)
        if len(cut) > MOST:
            raise BadInput(
                f"The prompt is {sum(map(len, parts))} tokens long, {len(cut)} chunks of {room}, and this model reads "
                f"at most {MOST} chunks; shorten it."
            )
        return cut

    @torch.no_grad()
    def embed(self, prompts: Sequence[str]) -> Tensor:
        """The embeddings (B, n window, width) in float32, n the most chunks that one of the prompts has."""
        read = [self.chunks(prompt) for prompt in prompts]
        most = max(map(len, read))
        rows = [chunk for each in read for chunk in [*each, *[[]] * (most - len(each))]]
        room, special = self.window - 2, self.tokenizer
        first, last, pad = special.bos_token_id, special.eos_token_id, special.pad_token_id
        ids = [[first, *(token for token, _ in row), last, *[pad] * (room - len(row))] for row in rows]
        weights = [[1.0, *(weight for _, weight in row), *[1.0] * (room + 1 - len(row))] for row in rows]
        with self.execute():
            out = self.encoder(torch.tensor(ids, device=self.encoder.device)).last_hidden_state.float()
        return weighed(out, torch.tensor(weights, device=out.device)).reshape(len(prompts), most * self.window, -1)

    def __call__(self, prompts: Sequence[str], negatives: Sequence[str]) -> Text:
        """A Text part whose unconditional branch is the negative prompt ("" when there is none).

        Each distinct text is encoded once; all have as many chunks as the longest.
        """
        distinct = list(dict.fromkeys([*prompts, *negatives]))
        embedded = dict(zip(distinct, self.embed(distinct), strict=True))
        negative = Text(torch.stack([embedded[text] for text in negatives]))
        return Text(torch.stack([embedded[text] for text in prompts]), negative=negative)

    def scheduled(self, recipes: Sequence[Recipe], times: Tensor) -> Text:
        """The words of recipes that differ in seed and words alone, over the knots of their grid.

        A prompt may be joined of several (see `sfumato.recipe.conjunction`), and they may change from step to step (see
        `sfumato.recipe.prompt_schedule`); step n begins at knot n.
        """
        steps, rows = recipes[0].steps, range(len(recipes))
        asked = [conjuncts(recipe.prompt) for recipe in recipes]
        most = max(map(len, asked))
        several = [[*each, *[("", 0.0)] * (most - len(each))] for each in asked]
        said = [[periods(words, steps) for words, _ in each] for each in several]
        negatives = [periods(recipe.negative, steps) for recipe in recipes]
        firsts = sorted({first for each in [*negatives, *chain.from_iterable(said)] for first, _ in each})
        whole = self(
            [_at(said[row][k], n) for n in firsts for k in range(most) for row in rows],
            [_at(negatives[row], n) for n in firsts for _ in range(most) for row in rows],
        )
        parts = [whole.select(torch.tensor(rows) + i * len(rows)) for i in range(len(firsts) * most)]
        texts = parts[::most]
        if most > 1:
            shares = torch.tensor([[share for _, share in each] for each in several])
            groups = zip(texts, (parts[i + 1 : i + most] for i in range(0, len(parts), most)), strict=True)
            texts = [replace(text, others=tuple(others), shares=shares) for text, others in groups]
        knots = [float(times[min(n, len(times) - 1)]) for n in firsts[1:]]
        return ScheduledText.of(texts, [math.inf, *knots])

    def _ids(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False, verbose=False).input_ids


def _at(said: list[tuple[int, str]], step: int) -> str:
    return next(words for first, words in reversed(said) if first <= step)


def weighed(embeds: Tensor, weights: Tensor) -> Tensor:
    """Embeddings (N, L, D) times their tokens' weights (N, L), then scaled so that each row's mean is what it was.

    That is A1111's emphasis. A mean within a hundredth of the mean magnitude is a remainder of cancellation, as small
    encoders have it, and no measure of scale: such a row is not scaled ("no norm" there). Weights of 1 change no bit.
    """
    scaled = embeds * weights[..., None]
    before, after = (x.mean((1, 2), keepdim=True) for x in (embeds, scaled))
    measured = before.abs() > 0.01 * embeds.abs().mean((1, 2), keepdim=True)
    return torch.where(measured, scaled * (before / after), scaled)
