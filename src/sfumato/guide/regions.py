"""What is said in regions by mixing predictions (`sfumato.region.PredictionMixing`), taken apart and put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sfumato.condition import Condition, MixedRegions
from sfumato.denoise import Prediction
from sfumato.lazy import Tensor


def regions(condition: Condition) -> list[Condition]:
    """The general condition, and one for each region; itself where it has none."""
    part = condition.get(MixedRegions)
    if part is None:
        return [condition]
    general = replace(condition, parts=tuple(each for each in condition.parts if each is not part))
    told = [general]
    for parts in part.others:
        here = general
        for each in parts:
            here = here.adding(each)
        told.append(here)
    return told


def mixed(outs: Sequence[Prediction], condition: Condition) -> Prediction:
    """sum_k share_k p_k, for x0 and for eps: each cell from the answers of its regions (Bar-Tal et al. 2023, eq. 5)."""
    part = condition.get(MixedRegions)
    if part is None or len(outs) == 1:
        return outs[0]
    shares = part.shares.to(outs[0].x0).split(1, 1)

    def whole(name: str) -> Tensor:
        found = shares[0] * getattr(outs[0], name)
        for share, out in zip(shares[1:], outs[1:], strict=True):
            found = found + share * getattr(out, name)
        return found

    return outs[0].moved(x0=whole("x0"), eps=whole("eps"))
