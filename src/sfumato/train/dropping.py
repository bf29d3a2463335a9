"""Conditions that are left out now and then, so that a network knows its answer without them (Ho & Salimans 2022)."""

from __future__ import annotations

import torch
from pydantic import model_validator
from torch import Tensor

from sfumato.element.section import Fraction, Section


class Dropout(Section):
    """How often the words alone are left out, the picture alone, and both: for guidance by each (Brooks et al. 2023,
    section 3.2.1; Ye et al. 2023)."""

    words: Fraction = 0.05
    picture: Fraction = 0.05
    both: Fraction = 0.05

    @model_validator(mode="after")
    def _at_most_all(self) -> Dropout:
        if self.words + self.picture + self.both > 1:
            raise ValueError("words, picture and both are parts of one whole: together at most 1")
        return self

    def without_words(self, n: int, generator: torch.Generator) -> Tensor:
        """(n,) bool: whether a row's words are left out, its picture with them or not."""
        return torch.rand(n, generator=generator) < self.words + self.both

    def without_picture(self, without_words: Tensor, generator: torch.Generator) -> Tensor:
        """(n,) bool: whether a row's picture is left out, by whether its words are."""
        words, rest = self.words + self.both, 1 - self.words - self.both
        chances = torch.tensor([self.picture / rest if rest > 0 else 0.0, self.both / words if words > 0 else 0.0])
        return torch.rand(len(without_words), generator=generator) < chances[without_words.long()]
