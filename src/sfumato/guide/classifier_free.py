"""Classifier-free guidance: Ho & Salimans 2022."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sfumato.condition import Condition
from sfumato.denoise import Prediction
from sfumato.guide.interval import ALWAYS, Interval, check, inside, touches
from sfumato.picture import BadInput
from sfumato.predict import expand


@dataclass(frozen=True)
class ClassifierFree:
    """u + scale (c - u), for x0 and for eps; c is the conditional answer, u the unconditional one.

    scale: 1 is off (and costs no unconditional row), 0 is unconditional. Of the field's three ways to write it this
        is GLIDE's (Nichol et al. 2022, eq. 7); `from_w` and `from_gamma` take the others.
    interval: guidance acts where t lies in it, both ends included (Kynkäänniemi et al. 2024); outside only the
        conditional branch is called.
    rescale: 0 is off; phi in (0, 1] brings the standard deviation of x0, over each picture, back to the conditional
        one's by that share (Lin et al. 2023, eq. 15-16, in x0 space, so that it means the same for every
        parameterization).

    A negative prompt is the condition's own null, not a matter of guidance.
    """

    scale: float = 5.0
    interval: Interval = ALWAYS
    rescale: float = 0.0

    @classmethod
    def from_w(cls, w: float, **options: Any) -> ClassifierFree:
        """(1 + w) c - w u: w = 0 is off, -1 unconditional (Ho & Salimans 2022, eq. 6; seed 001). scale = 1 + w."""
        return cls(1 + w, **options)

    @classmethod
    def from_gamma(cls, gamma: float, **options: Any) -> ClassifierFree:
        """(1 - gamma) u + gamma c: gamma = 1 is off, 0 unconditional (seed 004, eq. 3.8). scale = gamma."""
        return cls(gamma, **options)

    def __post_init__(self) -> None:
        check(self.interval)
        if not 0 <= self.rescale <= 1:
            raise BadInput(f"Guidance rescale lies between 0 (off) and 1, not {self.rescale}.")

    def branches(self, condition: Condition, t: Tensor) -> Mapping[str, Condition]:
        return {"unconditional": condition.null()} if self._acts(t) else {}

    def combine(self, current: Prediction, outs: Mapping[str, Prediction], x: Tensor, t: Tensor) -> Prediction:
        if not self._acts(t):
            return current
        u, c = outs["unconditional"], outs["conditional"]
        # c enters through `current`, so that what guidances before this one did is kept
        more = expand(torch.where(inside(self.interval, t), self.scale - 1, 0.0), c.x0) if t.ndim else self.scale - 1
        moved = current.moved(x0=current.x0 + more * (c.x0 - u.x0), eps=current.eps + more * (c.eps - u.eps))
        if self.rescale == 0:
            return moved
        axes = tuple(range(1, x.ndim))
        ratio = c.x0.std(axes, keepdim=True) / moved.x0.std(axes, keepdim=True)
        rescaled = moved.x0 * (1 + self.rescale * (ratio - 1))
        if t.ndim:  # a row outside the interval stays as it is
            rescaled = torch.where(expand(inside(self.interval, t), x) > 0, rescaled, moved.x0)
        return moved.moved(x0=rescaled)

    def _acts(self, t: Tensor) -> bool:
        return self.scale != 1 and touches(self.interval, t)
