"""Pivotal tuning: Roich et al. 2021; of diffusion models cloneofsimo 2022: a word of its own, and a LoRA beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from sfumato.adapt.adapter import BoundAdapter
from sfumato.adapt.textual_inversion import MOST
from sfumato.train.method import Learner, Method, Subject, method
from sfumato.train.methods.low_rank_adaptation import LoRAMethod
from sfumato.train.methods.textual_inversion import TextualInversion


@method
class PivotalTuning(Method):
    """Textual inversion and LoRA at once: the word says where the subject lies among what the model knows, the LoRA
    what is left. Two files."""

    kind: Literal["pivotal-tuning"] = "pivotal-tuning"
    vectors: Annotated[int, Field(ge=1, le=MOST)] = 1
    initialiser: str | None = None
    lora: LoRAMethod = LoRAMethod()

    def begin(self, subject: Subject) -> Learner:
        word = TextualInversion(vectors=self.vectors, initialiser=self.initialiser).begin(subject)
        return PivotalLearner(word, self.lora.begin(subject))


class PivotalLearner(Learner):
    """A word's learner and a LoRA's."""

    reads = True

    def __init__(self, word: Learner, lora: Learner) -> None:
        super().__init__()
        self.word, self.lora = word, lora

    def bind(self, networks: Mapping[str, nn.Module]) -> BoundAdapter:
        return replace(self.lora.bind(networks), words=self.word.bind(networks).words)

    def save(self, export: Path) -> list[Path]:
        return [*self.word.save(export), *self.lora.save(export)]
