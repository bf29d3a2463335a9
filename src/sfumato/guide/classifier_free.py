"""Classifier-free guidance: Ho & Salimans 2022."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from sfumato.denoise import Prediction
from sfumato.element import Interval, Real, element
from sfumato.guide.guidance import ScaledGuidance, within
from sfumato.lazy import Tensor, torch


@element("classifier-free", short="cfg")
class ClassifierFree(ScaledGuidance):
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

    scale: Real = Field(default=5.0, ge=0, le=1000, description="a number from 0 to 1000, where 1 means off")
    interval: Interval = (0.0, 1.0)
    rescale: Real = Field(default=0.0, ge=0, le=1, description="a number from 0 (off) to 1")

    @classmethod
    def from_w(cls, w: float, **options: Any) -> ClassifierFree:
        """(1 + w) c - w u: w = 0 is off, -1 unconditional (Ho & Salimans 2022, eq. 6; seed 001). scale = 1 + w."""
        return cls(1 + w, **options)

    @classmethod
    def from_gamma(cls, gamma: float, **options: Any) -> ClassifierFree:
        """(1 - gamma) u + gamma c: gamma = 1 is off, 0 unconditional (seed 004, eq. 3.8). scale = gamma."""
        return cls(gamma, **options)

    @property
    def null_scale(self) -> float:  # type: ignore[override]
        return self.scale

    def combine(self, current: Prediction, outs: Mapping[str, Prediction], x: Tensor, t: Tensor) -> Prediction:
        if not self.acts(t):
            return current
        u, c = outs["unconditional"], outs["conditional"]
        # c enters through `current`, so that what guidances before this one did is kept
        more = within(self.interval, t, self.scale - 1, c.x0)
        moved = current.moved(x0=current.x0 + more * (c.x0 - u.x0), eps=current.eps + more * (c.eps - u.eps))
        if self.rescale == 0:
            return moved
        axes = tuple(range(1, x.ndim))
        ratio = c.x0.std(axes, keepdim=True) / moved.x0.std(axes, keepdim=True)
        share = within(self.interval, t, self.rescale, c.x0)
        rescaled = moved.x0 * (1 + share * (ratio - 1))
        if t.ndim:  # a row outside the interval stays as it is, to the bit
            rescaled = torch.where(share > 0, rescaled, moved.x0)  # type: ignore[operator, arg-type]
        return moved.moved(x0=rescaled)
