"""A word for a subject: rare, short, one token, and with as little meaning to the model as there is.

Ruiz et al. 2023, "DreamBooth", sections 3.1 and 3.2: a word that the language model and the painter have a weak prior
of is soon overwritten by the subject; found among the tokens of three letters or fewer that are rare. How weak the
prior is, is measured here on the model itself:

    change = |F(x_t, "a painting of a WORD CLASS") - F(x_t, "a painting of a CLASS")|^2
           / |F(x_t, "a painting of a CLASS")      - F(x_t, "")|^2

the mean over a few noises and times. 0: the word says nothing; 1: it says as much as the class does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sfumato.picture import BadInput
from sfumato.recipe import Recipe
from sfumato.schedule import noised
from sfumato.train import rng

SHORT = re.compile(r"[a-z]{2,3}")
MARKS = ("</w>", "▁", "Ġ")
"""How tokenizers mark where a word begins or ends: CLIP's, sentencepiece's (T5), those of bytes (GPT, Qwen)."""
TIMES = (0.9, 0.7, 0.5)
ROWS = 8  # prompts that are told at once


@dataclass(frozen=True)
class Identifier:
    """A word, its token, the share of the vocabulary that is rarer, and how much it changes what is painted."""

    word: str
    token: int
    rarer: float
    change: float


def tokenizer_of(encoders: Iterable[Any], name: str = "") -> Any:
    """The first tokenizer of a stage's encoders whose type is called so; None where there is none."""
    for each in encoders:
        for value in vars(each).values():
            if hasattr(value, "get_vocab") and type(value).__name__.startswith(name):
                return value
            within = value if isinstance(value, tuple | list) else (value,)
            found = tokenizer_of([one for one in within if type(one).__module__.startswith("sfumato.encode")], name)
            if found is not None:
                return found
    return None


def rare_words(tokenizer: Any, count: int) -> list[tuple[str, int]]:
    """`count` words of two or three letters that are one token each, spread over the rarer half of all there are.

    Vocabularies are in the order of their tokens' frequency (byte pairs are merged in that order, sentencepiece sorts
    by probability), so a token's number is its rank.
    """
    ranked = sorted(tokenizer.get_vocab().items(), key=lambda pair: -pair[1])
    short = [(word, token) for text, token in ranked if (word := _word(text)) and SHORT.fullmatch(word)]
    rarer = list(_whole(tokenizer, short[: max(len(short) // 2, min(count, len(short)))]))
    places = np.linspace(0, len(rarer) - 1, min(count, len(rarer))).round().astype(int)
    return [rarer[i] for i in places]


def _word(text: str) -> str:
    """What a token spells, where it is a whole word."""
    if text.endswith(MARKS[0]):
        return text.removesuffix(MARKS[0])
    return text[1:] if text.startswith(MARKS[1:]) else ""


def _whole(tokenizer: Any, words: Sequence[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    """Those that are read as that one token, at the beginning of a text or behind a space."""
    for word, token in words:
        if any(list(tokenizer(text, add_special_tokens=False).input_ids) == [token] for text in (word, f" {word}")):
            yield word, token


@torch.no_grad()
def identifiers(pipe: Any, kind: str = "", count: int = 12, template: str = "a painting of a {}") -> list[Identifier]:
    """Words for a subject of that class, the one with the weakest prior first. Raises BadInput where the model reads no
    words, or has no such tokens."""
    stage = pipe.stage
    tokenizer = tokenizer_of(stage.encoders)
    words = rare_words(tokenizer, count) if tokenizer is not None else []
    if tokenizer is None or not words:
        raise BadInput(f"--as auto: no rare short token is in the vocabulary of {pipe.name}: say a word yourself.")
    plain = template.replace("{}", kind) if kind else template.replace(" {}", "")
    asked = ["", plain, *(template.replace("{}", f"{word} {kind}".strip()) for word, _ in words)]
    empty, known, *said = _answers(stage, asked)
    scale = float((known - empty).square().mean()) or 1.0
    total = len(tokenizer.get_vocab())
    found = [
        Identifier(word, token, 1 - (token + 1) / total, float((each - known).square().mean()) / scale)
        for (word, token), each in zip(words, said, strict=True)
    ]
    return sorted(found, key=lambda each: each.change)


def _answers(stage: Any, prompts: Sequence[str]) -> list[Tensor]:
    """F of each prompt at the same noises and times, (len(TIMES), C, h, w)."""
    stage = stage.at(stage.size)
    shape = (len(TIMES), stage.space.channels, *stage.space.cells(stage.size))
    eps = torch.randn(shape, generator=rng.generator("identifier"))
    t = torch.tensor(TIMES, dtype=torch.float64)
    x = noised(stage.denoiser.schedule, torch.zeros_like(eps), t, eps).to(stage.device)
    width, height = stage.size
    found: list[Tensor] = []
    for start in range(0, len(prompts), ROWS):
        some = prompts[start : start + ROWS]
        told = stage.encode([Recipe(prompt=prompt, width=width, height=height) for prompt in some])
        rows = torch.arange(len(some)).repeat_interleave(len(t))
        F = stage.denoiser.output(x.repeat(len(some), 1, 1, 1), t.repeat(len(some)), told.select(rows))
        found += list(F.float().cpu().unflatten(0, (len(some), len(t))))
    return found
