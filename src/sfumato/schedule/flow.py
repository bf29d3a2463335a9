"""The straight line of flow matching."""

from __future__ import annotations

from dataclasses import dataclass

from sfumato.lazy import Tensor
from sfumato.schedule.base import double


@dataclass(frozen=True)
class Flow:
    """The straight line of flow matching: alpha = 1 - u, sigma = u, u = shift t/(1 + (shift - 1) t).

    Lipman et al. 2023, Liu et al. 2023; the shift for larger pictures is Esser et al. 2024, eq. 23.
    """

    shift: float = 1.0
    last: float = 1e-3

    def __call__(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        t = double(t)
        whole = 1 + (self.shift - 1) * t
        return (1 - t) / whole, self.shift * t / whole

    def time(self, kappa: Tensor | float) -> Tensor:
        return 1 / (1 + self.shift / double(kappa))
