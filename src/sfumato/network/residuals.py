"""What controls add to a denoising network's features, summed over all that have a say."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from sfumato.condition import Condition, Controls


@dataclass(frozen=True)
class Residuals:
    """Tensors (B, C, h, w), or (B, N, C) of tokens, that are added on the way.

    skips: to what goes over to the upward half (a ControlNet's), of a transformer to its blocks in their order.
    middle: to the middle block's answer. within: to what the downward blocks hand on (a T2I-Adapter's). singles: to a
    transformer's single-stream blocks. repeats: whether a transformer with more blocks than skips begins again with the
    first of them, and does not give each of them to several blocks one after the other.
    """

    skips: tuple[Tensor, ...] = ()
    middle: Tensor | None = None
    within: tuple[Tensor, ...] = ()
    singles: tuple[Tensor, ...] = ()
    repeats: bool = False

    def map(self, function: Callable[[Tensor], Tensor]) -> Residuals:
        several = (tuple(map(function, each)) for each in (self.skips, self.within, self.singles))
        skips, within, singles = several
        middle = None if self.middle is None else function(self.middle)
        return Residuals(skips, middle, within, singles, self.repeats)

    def plus(self, other: Residuals) -> Residuals:
        middle = [each for each in (self.middle, other.middle) if each is not None]
        return Residuals(
            _sum(self.skips, other.skips),
            sum(middle[1:], middle[0]) if middle else None,
            _sum(self.within, other.within),
            _sum(self.singles, other.singles),
            self.repeats or other.repeats,
        )


def residuals_of(x: Tensor, t: Tensor, condition: Condition, told: Mapping[str, Tensor | None]) -> Residuals | None:
    """What the condition's controls add; None if none has a say in any row.

    x, t and `told` are what the network itself is told, with a row for each of the condition's. A control is called
    with the rows in which it counts alone: in the others it adds exact zeros.
    """
    part = condition.get(Controls)
    if part is None:
        return None
    total = None
    for k, control in enumerate(part.things):
        weight = part.weight[:, k].to(x.device)
        rows = weight.nonzero()[:, 0]
        if not len(rows):
            continue
        some = {name: value if value is None else value[rows] for name, value in told.items()}
        added = control(x[rows], t[rows], some)
        factor, count = weight[rows], len(x)

        def spread(a: Tensor, rows: Tensor = rows, factor: Tensor = factor, count: int = count) -> Tensor:
            scaled = a * factor.to(a).reshape(-1, *[1] * (a.ndim - 1))
            return scaled if len(rows) == count else a.new_zeros(count, *a.shape[1:]).index_copy(0, rows, scaled)

        added = added.map(spread)
        total = added if total is None else total.plus(added)
    return total


def masked(residuals: Residuals, mask: Tensor | None) -> Residuals:
    """Residuals within a mask (1, 1, H, W) in [0, 1] alone, averaged over each of their cells or tokens."""
    if mask is None:
        return residuals

    def within(a: Tensor) -> Tensor:
        if a.ndim == 3:
            return a * at_places(mask, a.shape[1]).to(a)
        return a * functional.interpolate(mask.to(a), a.shape[-2:], mode="area")

    return residuals.map(within)


def at_places(mask: Tensor, count: int) -> Tensor:
    """The mask of `count` places that lie in rows over the picture, (1, count, 1)."""
    height = max(1, round(math.sqrt(count * mask.shape[-2] / mask.shape[-1])))
    return functional.interpolate(mask, (height, count // height), mode="area").flatten(2).transpose(1, 2)


def _sum(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    if not ours or not theirs:
        return tuple(ours or theirs)
    return tuple(torch.add(a, b) for a, b in zip(ours, theirs, strict=True))
