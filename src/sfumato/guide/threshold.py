"""Thresholding of the predicted picture: Saharia et al. 2022 (Imagen), section 2.3."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from sfumato.denoise import Prediction
from sfumato.element import Real, element
from sfumato.guide.guidance import Guidance
from sfumato.lazy import Tensor

_LIMIT = "a number from 0.001 to 1000 (1 for pictures in [-1, 1])"


@element("static-threshold", short="static")
class StaticThreshold(Guidance):
    """x0 clipped to [-limit, limit]; eps follows from x. For pixels in [-1, 1], not for latents.

    Strong guidance drives x0 beyond what a picture can be, where colours saturate (Saharia et al. 2022, Imagen,
    section 2.3, which calls this static thresholding); `DynamicThreshold` rescales instead of clipping.
    """

    limit: Real = Field(default=1.0, ge=1e-3, le=1e3, description=_LIMIT)

    def combine(self, current: Prediction, outs: Mapping[str, Prediction], x: Tensor, t: Tensor) -> Prediction:
        return current.moved(x0=current.x0.clamp(-self.limit, self.limit))


@element("dynamic-threshold", short="dynamic")
class DynamicThreshold(Guidance):
    """x0 clipped to [-s, s] and divided by s/limit, s the `percentile` of |x0| over each picture, at least `limit` and
    at most `largest` (DeepFloyd's; Imagen has no such bound).

    eps follows from x. A picture that stays within the limit is not changed. With `largest` = `limit` it is
    `StaticThreshold`.
    """

    percentile: Real = Field(default=0.995, ge=1e-3, le=1, description="a fraction from 0.001 to 1")
    limit: Real = Field(default=1.0, ge=1e-3, le=1e3, description=_LIMIT)
    largest: Real = Field(default=1e3, ge=1e-3, le=1e3, description="a number from the limit to 1000")

    def combine(self, current: Prediction, outs: Mapping[str, Prediction], x: Tensor, t: Tensor) -> Prediction:
        s = (
            current.x0.abs()
            .flatten(1)
            .quantile(self.percentile, dim=1)
            .clamp(self.limit, max(self.limit, self.largest))
        )
        s = s.reshape(-1, *[1] * (current.x0.ndim - 1))
        return current.moved(x0=current.x0.clamp(-s, s) * (self.limit / s))
