"""Schedules whose beta(t) is a polynomial: they are functions of L(t), the integral of beta from 0 to t."""

from __future__ import annotations

from dataclasses import dataclass

from sfumato.lazy import Tensor, torch
from sfumato.schedule.base import double


@dataclass(frozen=True)
class VPLinear:
    """Variance-preserving with beta(t) linear: alpha^2 = exp(-L), L = beta_min t + (beta_max - beta_min) t^2/2.

    Song et al. 2021, eq. 33: the continuous limit of Ho et al.'s linear table.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0
    last: float = 1e-3

    def __call__(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        L = _integral(self, double(t))
        return torch.exp(-L / 2), torch.sqrt(-torch.expm1(-L))

    def time(self, kappa: Tensor | float) -> Tensor:
        return _reached(self, torch.log1p(double(kappa).square()))


@dataclass(frozen=True)
class SubVP:
    """Sub-variance-preserving: alpha = exp(-L/2), sigma = 1 - exp(-L), with the L of `VPLinear`.

    Song et al. 2021, eq. 29: the drift of the linear schedule, and never more noise; g^2 = beta (1 - exp(-2 L)).
    kappa = 2 sinh(L/2), so that L = 2 asinh(kappa/2).
    """

    beta_min: float = 0.1
    beta_max: float = 20.0
    last: float = 1e-3

    def __call__(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        L = _integral(self, double(t))
        return torch.exp(-L / 2), -torch.expm1(-L)

    def time(self, kappa: Tensor | float) -> Tensor:
        return _reached(self, 2 * torch.asinh(double(kappa) / 2))


@dataclass(frozen=True)
class VPScaledLinear:
    """Variance-preserving with sqrt(beta(t)) linear: alpha^2 = exp(-L), L = t (a^2 + a c t + c^2 t^2/3).

    a = sqrt(beta_min), c = sqrt(beta_max) - a. The continuous limit of Stable Diffusion's table (Rombach et al. 2022):
    1000 steps of beta from 0.00085 to 0.012 are beta(t) from 0.85 to 12.
    """

    beta_min: float = 0.85
    beta_max: float = 12.0
    last: float = 1e-3

    def __call__(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        t = double(t)
        a, c = self._line
        L = t * (a**2 + a * c * t + c**2 * t.square() / 3)
        return torch.exp(-L / 2), torch.sqrt(-torch.expm1(-L))

    def time(self, kappa: Tensor | float) -> Tensor:
        L = torch.log1p(double(kappa).square())
        a, c = self._line
        root = (a**3 + 3 * c * L) ** (1 / 3)  # sqrt(beta(t)); (root - a)/c would cancel
        return 3 * L / (root.square() + a * root + a**2)

    @property
    def _line(self) -> tuple[float, float]:
        return self.beta_min**0.5, self.beta_max**0.5 - self.beta_min**0.5


def _integral(schedule: VPLinear | SubVP, t: Tensor) -> Tensor:
    """L(t) of a linear beta."""
    return schedule.beta_min * t + (schedule.beta_max - schedule.beta_min) * t.square() / 2


def _reached(schedule: VPLinear | SubVP, L: Tensor) -> Tensor:
    """The t at which a linear beta has L(t) = L."""
    rise = schedule.beta_max - schedule.beta_min
    return 2 * L / (schedule.beta_min + torch.sqrt(schedule.beta_min**2 + 2 * rise * L))
