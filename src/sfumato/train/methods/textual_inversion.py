"""Textual Inversion: Gal et al. 2022, "An Image is Worth One Word"."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from sfumato.adapt.adapter import BoundAdapter
from sfumato.adapt.textual_inversion import MOST, token_embedding
from sfumato.adapt.write import write_words
from sfumato.picture import BadInput
from sfumato.train.method import Learner, Method, Subject, method


@method
class TextualInversion(Method):
    """The `vectors` of a new word, which is what prompts call the subject ("sks woman": all of it is the word).

    They begin as those of `initialiser`, a word that the model knows; the subject's class where nothing is said.
    """

    kind: Literal["textual-inversion"] = "textual-inversion"
    vectors: Annotated[int, Field(ge=1, le=MOST)] = 1
    initialiser: str | None = None

    def begin(self, subject: Subject) -> Learner:
        return WordLearner(self, subject)


class WordLearner(Learner):
    """The vectors of a word, one table for each CLIP text encoder."""

    reads = word_alone = True

    def __init__(self, method: TextualInversion, subject: Subject) -> None:
        super().__init__()
        self.subject = subject
        known = method.initialiser or subject.kind
        tables = {part: token_embedding(each) for part, each in subject.readers.items()}
        self.vectors = nn.ParameterDict(
            {
                part: nn.Parameter(_begun(table.weight, subject.tokens(known), method.vectors))
                for part, table in tables.items()
                if table is not None
            }
        )
        if not self.vectors:
            raise BadInput("method: this model's words are read by no CLIP, so it can't be taught one: take lora.")

    def bind(self, networks: Mapping[str, nn.Module]) -> BoundAdapter:
        tables: dict[int, Tensor] = {each.shape[1]: each for each in self.vectors.values()}
        return BoundAdapter(self.subject.word, words={self.subject.word: tuple(tables.values())})

    def save(self, export: Path) -> list[Path]:
        path = export / "embedding.safetensors"
        write_words(path, self.subject.word, dict(self.vectors.items()), self.subject.header)
        return [path]


def _begun(table: Any, tokens: list[int], count: int) -> Tensor:
    """The vectors of a text's tokens, over and over; without any, their mean over the whole table."""
    weight = table.detach().float()
    known = weight[torch.tensor(tokens)] if tokens else weight.mean(0, keepdim=True)
    return known[torch.arange(count) % len(known)].clone()
