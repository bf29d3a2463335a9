"""Learned words in a text encoder: the tokenizer stays as it is, and the table of tokens too.

A word's vectors have numbers of their own, far beyond every vocabulary, which the tokens of a prompt hold. The encoder
reads a neutral token in their places (CLIP pools at the largest id, where another would win) and is given the vectors.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sfumato.adapt.swap import Swap
from sfumato.adapt.textual_inversion import token_embedding
from sfumato.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sfumato.adapt.adapter import Place

FIRST = 1 << 24
NEUTRAL = 0


class LearnedWords:
    """The words, each with its ids and its vectors (n, width) by width."""

    def __init__(self, words: Mapping[str, Sequence[Tensor]]) -> None:
        self.ids: dict[str, list[int]] = {}
        self.vectors: dict[tuple[int, int], Tensor] = {}  # by id and width
        next_id = FIRST
        for word, tables in words.items():
            count = len(tables[0])
            self.ids[word] = list(range(next_id, next_id + count))
            for table in tables:
                for i, vector in enumerate(table):
                    self.vectors[next_id + i, int(table.shape[1])] = vector
            next_id += count
        longest = sorted(map(re.escape, self.ids), key=len, reverse=True)
        self.mark = re.compile(rf"(?<!\w)({'|'.join(longest)})(?!\w)", re.IGNORECASE)
        self._folded = {word.casefold(): word for word in self.ids}

    def split(self, text: str) -> list[str | list[int]]:
        """The text in pieces: what stands between the words, and the ids of each word."""
        pieces: list[str | list[int]] = list(self.mark.split(text))
        pieces[1::2] = [self.ids[self._folded[str(word).casefold()]] for word in pieces[1::2]]
        return [piece for piece in pieces if piece]

    def spelled(self, token: int) -> str | None:
        """How a token of a word is spelled: the last of them ends the word."""
        for word, ids in self.ids.items():
            if token in ids:
                first, last = token == ids[0], token == ids[-1]
                return (word if first else "") + ("</w>" if last else "")
        return None

    def tables(self, networks: Mapping[str, nn.Module]) -> list[Place]:
        """What stands in for the forward of every text encoder that such words are for."""
        places: list[Place] = []
        for part, network in networks.items():
            table = token_embedding(network) if part.startswith("text_encoder") else None
            if table is not None:
                places.append((vars(network), "forward", self._forward(network, table)))
        return places

    def _forward(self, network: Any, table: Any) -> Any:
        own, width = network.forward, int(table.weight.shape[1])

        def forward(input_ids: Tensor, *args: Any, **options: Any) -> Any:
            learned = input_ids >= FIRST
            if not bool(learned.any()):
                return own(input_ids, *args, **options)
            vectors = [self.vectors.get((int(i), width)) for i in input_ids[learned]]
            here = torch.tensor([each is not None for each in vectors], device=input_ids.device)
            embed = table.forward

            def embedded(tokens: Tensor) -> Tensor:
                out = embed(tokens)
                if bool(here.any()):
                    places = learned.nonzero()[here]
                    given = torch.stack([each for each in vectors if each is not None]).to(out)
                    out = out.index_put((places[:, 0], places[:, 1]), given)
                return out

            with Swap([(vars(table), "forward", embedded)]):
                return own(input_ids.masked_fill(learned, NEUTRAL), *args, **options)

        return forward


class Tokenizer:
    """A tokenizer that knows learned words too; everything else is asked of the one that it stands for."""

    def __init__(self, tokenizer: Any, words: LearnedWords) -> None:
        self.tokenizer, self.words = tokenizer, words

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tokenizer, name)

    def __call__(self, text: Any, **options: Any) -> Any:
        if not isinstance(text, str) or options.get("add_special_tokens", True) or not self.words.mark.search(text):
            return self.tokenizer(text, **options)
        ids: list[int] = []
        for piece in self.words.split(text):
            ids += self.tokenizer(piece, **options).input_ids if isinstance(piece, str) else piece
        return type("Tokens", (), {"input_ids": ids})()

    def convert_ids_to_tokens(self, ids: Any, **options: Any) -> Any:
        if isinstance(ids, int):
            own = self.words.spelled(ids)
            return self.tokenizer.convert_ids_to_tokens(ids, **options) if own is None else own
        return [self.convert_ids_to_tokens(each, **options) for each in ids]


def knowing(encoder: Any, words: LearnedWords) -> Any:
    """An encoder of words, or what holds some, whose CLIP tokenizers know the learned words; anything else as it is."""
    found = {}
    for name, value in vars(encoder).items():
        if type(value).__name__.startswith("CLIPTokenizer"):
            found[name] = Tokenizer(value, words)
        elif isinstance(value, tuple | list) and any(_reads(each) for each in value):
            found[name] = type(value)(knowing(each, words) if _reads(each) else each for each in value)
        elif _reads(value):
            found[name] = knowing(value, words)
    if not found:
        return encoder
    other = copy.copy(encoder)
    vars(other).update(found)
    return other


def _reads(value: Any) -> bool:
    return type(value).__module__.startswith("sfumato.encode")
