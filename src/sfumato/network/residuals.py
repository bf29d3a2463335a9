"""What controls add to a denoising network's features, summed over all that have a say."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from sfumato.condition import AttendedRegions, Condition, Controls


@dataclass(frozen=True)
class Residuals:
    """Tensors (B, C, h, w), or (B, N, C) of tokens, that are added on the way.

    skips: to what goes over to the upward half (a ControlNet's), of a transformer to what each of its blocks answers,
    in their order, None where nothing is. middle: to the middle block's answer. within: to what the downward blocks
    hand on (a T2I-Adapter's). singles: to a transformer's single-stream blocks, as skips. pictured: how many of the
    tokens, the first, lie in rows over the picture, where words stand behind them; None if all do.
    answer: what the network answers instead, and share (B, 1, h, w), by how much: see `instead`.
    """

    skips: tuple[Tensor | None, ...] = ()
    middle: Tensor | None = None
    within: tuple[Tensor, ...] = ()
    singles: tuple[Tensor | None, ...] = ()
    pictured: int | None = None
    answer: Tensor | None = None
    share: Tensor | None = None

    def map(self, function: Callable[[Tensor], Tensor]) -> Residuals:
        """The function of each tensor, once for those that several blocks share."""
        known: dict[int, Tensor] = {}

        def of(a: Tensor | None) -> Any:
            if a is not None and id(a) not in known:
                known[id(a)] = function(a)
            return None if a is None else known[id(a)]

        skips, within, singles = (tuple(map(of, each)) for each in (self.skips, self.within, self.singles))
        whole = {"middle": of(self.middle), "answer": of(self.answer), "share": of(self.share)}
        return replace(self, skips=skips, within=within, singles=singles, **whole)

    def plus(self, other: Residuals) -> Residuals:
        known: dict[tuple[int, int], Tensor] = {}

        def of(a: Tensor | None, b: Tensor | None) -> Any:
            if a is None or b is None:
                return b if a is None else a
            if (id(a), id(b)) not in known:
                known[id(a), id(b)] = torch.add(a, b)
            return known[id(a), id(b)]

        def both(ours: Sequence[Tensor | None], theirs: Sequence[Tensor | None]) -> tuple[Any, ...]:
            return tuple(of(a, b) for a, b in zip_longest(ours, theirs))

        return replace(
            self,
            skips=both(self.skips, other.skips),
            middle=of(self.middle, other.middle),
            within=both(self.within, other.within),
            singles=both(self.singles, other.singles),
            pictured=other.pictured if self.pictured is None else self.pictured,
            answer=of(self.answer, other.answer),
            share=of(self.share, other.share),
        )


def each_block(found: Sequence[Tensor] | None, blocks: int, repeats: bool = False) -> tuple[Tensor, ...]:
    """What each of so many blocks is given of a ControlNet's answers, which may be fewer: each of them to several
    blocks one after the other, or, where it `repeats`, from the first again after the last."""
    if not found:
        return ()
    some = -(-blocks // len(found))
    return tuple(found[i % len(found) if repeats else i // some] for i in range(blocks))


def residuals_of(x: Tensor, t: Tensor, condition: Condition, told: Mapping[str, Tensor | None]) -> Residuals | None:
    """What the condition's controls add; None if none has a say in any row.

    x, t and `told` are what the network itself is told, with a row for each of the condition's. A control is called
    with the rows in which it counts alone: in the others it adds exact zeros.
    """
    part = condition.get(Controls)
    if part is None:
        return None
    total, told = None, _general(told, condition)
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


def _general(told: Mapping[str, Tensor | None], condition: Condition) -> Mapping[str, Tensor | None]:
    """What controls are told where regions have words of their own: the general ones, which stand first."""
    regions = condition.get(AttendedRegions)
    if regions is None:
        return told
    words = {name: told.get(name) for name in ("text", "text_mask")}
    first = {name: None if value is None else value[:, : regions.lengths[0]] for name, value in words.items()}
    if first["text_mask"] is not None and bool(first["text_mask"].all()):
        first["text_mask"] = None
    return {**told, **first}


def instead(added: Residuals | None, answer: Callable[[], Tensor]) -> Tensor:
    """F + sum w (F' - F) of a network's answer F (B, C, h, w) and those F' that controls of weight w have for it; F is
    asked for only where it counts."""
    if added is None or added.answer is None or added.share is None:
        return answer()
    whole = added.answer.float()
    return whole if bool((added.share == 1).all()) else (1 - added.share.float()) * answer() + whole


def masked(residuals: Residuals, mask: Tensor | None) -> Residuals:
    """Residuals within a mask (1, 1, H, W) in [0, 1] alone, averaged over each of their cells or tokens."""
    if mask is None:
        return residuals

    def within(a: Tensor) -> Tensor:
        if a.ndim == 4:
            return a * functional.interpolate(mask.to(a), a.shape[-2:], mode="area")
        return a * at_places(mask, a.shape[1], residuals.pictured).to(a)

    return residuals.map(within)


def at_places(mask: Tensor, count: int, pictured: int | None = None) -> Tensor:
    """The mask of `count` places that lie in rows over the picture, (1, count, 1). pictured: of which only so many, the
    first, lie there; the others count as their average."""
    here = count if pictured is None else pictured
    height = max(1, round(math.sqrt(here * mask.shape[-2] / mask.shape[-1])))
    shown = functional.interpolate(mask, (height, here // height), mode="area").flatten(2).transpose(1, 2)
    return torch.cat([shown, shown.mean(1, keepdim=True).expand(-1, count - here, -1)], 1)
