"""`clip_sample` of a scheduler's config: the clean picture that the network expects, kept within its range."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from sfumato.condition import Condition
from sfumato.denoise import Preconditioned, Prediction


class Clipped(Preconditioned):
    """x0 clipped to [-limit, limit], as stock DDPM and DDIM samplers do it for a network whose config says so; eps
    follows from x."""

    def __init__(self, *arguments: Any, limit: float, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.limit = limit

    def __call__(self, x: Tensor, t: Tensor, condition: Condition) -> Prediction:
        found = super().__call__(x, t, condition)
        return found.moved(x0=found.x0.clamp(-self.limit, self.limit))
