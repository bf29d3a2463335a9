"""Schedules that keep the picture and add ever more noise: alpha = 1."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sfumato.lazy import Tensor, torch
from sfumato.schedule.base import double


@dataclass(frozen=True)
class VE:
    """Variance-exploding: alpha = 1, sigma = sigma_min sqrt(r^(2t) - 1), r = sigma_max/sigma_min.

    Song et al. 2021, eq. 30, with its start moved so that sigma(0) is 0 and strength 0 changes nothing.
    """

    sigma_min: float = 0.01
    sigma_max: float = 50.0

    def __call__(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        t = double(t)
        return torch.ones_like(t), self.sigma_min * torch.sqrt(torch.expm1(2 * t * self._log_ratio))

    def time(self, kappa: Tensor | float) -> Tensor:
        return torch.log1p((double(kappa) / self.sigma_min).square()) / (2 * self._log_ratio)

    @property
    def last(self) -> float:
        return float(self.time(self.sigma_min))

    @property
    def _log_ratio(self) -> float:
        return math.log(self.sigma_max / self.sigma_min)


@dataclass(frozen=True)
class EDM:
    """alpha = 1, sigma = sigma_max t^rho: uniform steps in t are the steps of Karras et al. 2022, eq. 5.

    rho = 7 makes t a fair measure of how much is left of a picture; sigma = 80 t would make strength 0.5 mean
    sigma = 40, where nothing is left.
    """

    sigma_max: float = 80.0
    rho: float = 7.0
    sigma_min: float = 0.002

    def __call__(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        t = double(t)
        return torch.ones_like(t), self.sigma_max * t**self.rho

    def time(self, kappa: Tensor | float) -> Tensor:
        return (double(kappa) / self.sigma_max) ** (1 / self.rho)

    @property
    def last(self) -> float:
        return float(self.time(self.sigma_min))
