"""Thresholding of the predicted picture: Saharia et al. 2022 (Imagen), section 2.3."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from sfumato.condition import Condition
from sfumato.denoise import Prediction
from sfumato.picture import BadInput


@dataclass(frozen=True)
class StaticThreshold:
    """x0 clipped to [-limit, limit]; eps follows from x. For pixels in [-1, 1], not for latents."""

    limit: float = 1.0

    def __post_init__(self) -> None:
        _positive(self.limit)

    def branches(self, condition: Condition, t: Tensor) -> Mapping[str, Condition]:
        return {}

    def combine(self, current: Prediction, outs: Mapping[str, Prediction], x: Tensor, t: Tensor) -> Prediction:
        return current.moved(x0=current.x0.clamp(-self.limit, self.limit))


@dataclass(frozen=True)
class DynamicThreshold:
    """x0 clipped to [-s, s] and divided by s/limit, s the `percentile` of |x0| over each picture, at least `limit`.

    eps follows from x. A picture that stays within the limit is not changed.
    """

    percentile: float = 0.995
    limit: float = 1.0

    def __post_init__(self) -> None:
        _positive(self.limit)
        if not 0 < self.percentile <= 1:
            raise BadInput(f"A threshold's percentile is a share in (0, 1], such as 0.995, not {self.percentile}.")

    def branches(self, condition: Condition, t: Tensor) -> Mapping[str, Condition]:
        return {}

    def combine(self, current: Prediction, outs: Mapping[str, Prediction], x: Tensor, t: Tensor) -> Prediction:
        s = current.x0.abs().flatten(1).quantile(self.percentile, dim=1).clamp(min=self.limit)
        s = s.reshape(-1, *[1] * (current.x0.ndim - 1))
        return current.moved(x0=current.x0.clamp(-s, s) * (self.limit / s))


def _positive(limit: float) -> None:
    if not limit > 0:
        raise BadInput(f"A threshold's limit is above 0 (1 for pictures in [-1, 1]), not {limit}.")
