"""Words that hold in a part of the picture alone: see `sfumato.region`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from sfumato.condition.part import Part
from sfumato.lazy import Tensor, torch


@dataclass(frozen=True, eq=False)
class AttendedRegions(Part):
    """The rows' texts are 1 + K texts side by side, of so many `lengths` tokens, each attended to by itself.

    shares (B, 1 + K, h, w): how much of what is found in a cell is of each text; they add up to 1. Rows in which the
    first text has all are left alone: those of the unconditional branch, whose text is a single one.
    """

    drops: ClassVar[bool] = True
    shares: Tensor
    lengths: tuple[int, ...]

    def null(self) -> AttendedRegions:
        return self.neutral(self.rows)

    def neutral(self, rows: int) -> AttendedRegions:
        alone = torch.zeros_like(self.shares[:1]).index_fill(1, torch.tensor([0], device=self.shares.device), 1.0)
        return replace(self, shares=alone.expand(rows, -1, -1, -1))

    @property
    def divided(self) -> Tensor:
        """The indices of the rows that attend to several texts."""
        return (self.shares[:, 1:] > 0).flatten(1).any(1).nonzero()[:, 0]


@dataclass(frozen=True, eq=False)
class MixedRegions(Part):
    """K further conditions of the same rows, whose answers are mixed: `guide.Guided` asks for each of them.

    shares (B, 1 + K, h, w): how much of each cell is of the condition that holds this part, and of the others; they add
    up to 1. others: the parts in which each of those K differs.
    """

    drops: ClassVar[bool] = True
    shares: Tensor
    others: tuple[tuple[Part, ...], ...]

    def null(self) -> MixedRegions:
        return replace(self, shares=torch.ones_like(self.shares[:, :1]), others=())

    def at(self, t: Tensor | float) -> MixedRegions:
        return self._each(lambda part: part.at(t))

    def select(self, index: Tensor) -> MixedRegions:
        return replace(self._each(lambda part: part.select(index)), shares=self.shares[index])

    def to(self, *args: Any, **kwargs: Any) -> MixedRegions:
        moved = self._each(lambda part: part.to(*args, **kwargs))
        return replace(moved, shares=self.shares.to(*args, **kwargs))

    def _each(self, function: Callable[[Part], Part]) -> MixedRegions:
        others = tuple(tuple(map(function, parts)) for parts in self.others)
        same = all(a is b for old, new in zip(self.others, others, strict=True) for a, b in zip(old, new, strict=True))
        return self if same else replace(self, others=others)
