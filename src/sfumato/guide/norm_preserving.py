"""Classifier-free guidance that keeps the answer as large as it was: Wu et al. 2025, "Qwen-Image Technical Report"."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from sfumato.denoise import Prediction
from sfumato.element import Interval, Real, Whole, element
from sfumato.guide.guidance import ScaledGuidance, within
from sfumato.lazy import Tensor
from sfumato.predict import expand


@element("norm-preserving", short="cfgnorm")
class NormPreserving(ScaledGuidance):
    """w = u + scale (c - u), times |c|/|w|: u, c and w are velocities eps - x0, the unconditional, the conditional and
    the guided one.

    Norms are those of tokens: over the channels of a square of patch x patch cells, 2 for Qwen-Image, whose makers
    guide so. In every other direction it is `ClassifierFree`; a schedule of any kind has these velocities, and x0 and
    eps follow from x = alpha x0 + sigma eps.

    scale: 1 is off and costs no row.
    """

    scale: Real = Field(default=4.0, ge=0, le=1000, description="a number from 0 to 1000, where 1 means off")
    patch: Whole = Field(default=2, ge=1, le=64, description="a whole number from 1 to 64, cells along a token's side")
    interval: Interval = (0.0, 1.0)

    def combine(self, current: Prediction, outs: Mapping[str, Prediction], x: Tensor, t: Tensor) -> Prediction:
        if not self.acts(t):
            return current
        u, c = (out.eps - out.x0 for out in (outs["unconditional"], outs["conditional"]))
        now = current.eps - current.x0
        guided = now + (self.scale - 1) * (c - u)
        kept = guided * (self._norm(c) / self._norm(guided).clamp(min=1e-12))
        change = within(self.interval, t, 1.0, x) * (kept - now)
        whole = expand(current.alpha + current.sigma, x)
        return current.moved(
            x0=current.x0 - expand(current.sigma, x) / whole * change,
            eps=current.eps + expand(current.alpha, x) / whole * change,
        )

    def _norm(self, velocity: Tensor) -> Tensor:
        """Of each token, at each of its cells: (B, 1, h, w). Cells beyond the last whole token make tokens too."""
        from torch.nn.functional import avg_pool2d

        height, width = velocity.shape[-2:]
        squares = velocity.square().sum(1, keepdim=True)
        side = self.patch
        sums = avg_pool2d(squares, side, ceil_mode=True, divisor_override=1)
        return sums.sqrt().repeat_interleave(side, -2).repeat_interleave(side, -1)[..., :height, :width]
