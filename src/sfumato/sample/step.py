"""The one move that every sampler corrects, and what it is made of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from sfumato.denoise import Prediction
from sfumato.lazy import Tensor
from sfumato.noise import NoiseSource
from sfumato.schedule import Schedule

RISES = "A sampler that adds noise cannot walk upwards: invert with ddim (eta = 0) or heun."


class Denoise(Protocol):
    """A denoiser bound to its condition: (x, t) -> Prediction."""

    @property
    def schedule(self) -> Schedule: ...

    def __call__(self, x: Tensor, t: Tensor) -> Prediction: ...


@dataclass(frozen=True)
class Knots:
    """alpha and sigma at both ends of a step, as floats, and q = alpha_t sigma_s/(sigma_t alpha_s) = exp(-h).

    h is the step in log(alpha/sigma). q is 0 at sigma_s = 0 and 1 at s = t.
    """

    alpha_t: float
    sigma_t: float
    alpha_s: float
    sigma_s: float
    rising: bool

    @classmethod
    def of(cls, schedule: Schedule, t: Tensor, s: Tensor) -> Knots:
        (alpha_t, sigma_t), (alpha_s, sigma_s) = schedule(t), schedule(s)
        return cls(float(alpha_t), float(sigma_t), float(alpha_s), float(sigma_s), float(s) > float(t))

    @property
    def q(self) -> float:
        below = self.sigma_t * self.alpha_s
        q = self.alpha_t * self.sigma_s / below if below > 0 else math.inf
        return q if self.rising else min(q, 1.0)

    @property
    def h(self) -> float:
        """The step in log(alpha/sigma): infinite where a sigma or an alpha is 0, negative where it rises."""
        q = self.q
        return -math.log(q) if q > 0 else math.inf

    @property
    def place(self) -> float:
        """log(alpha_t/sigma_t): infinite at t = 0, minus infinite where alpha_t = 0."""
        if self.alpha_t == 0 or self.sigma_t == 0:
            return -math.inf if self.alpha_t == 0 else math.inf
        return math.log(self.alpha_t / self.sigma_t)

    @property
    def in_tau(self) -> tuple[float, float, float]:
        """The step in -log tau, tau = sigma/(alpha + sigma), where it begins, and alpha_s + sigma_s."""
        tau_t, tau_s = self.sigma_t / (self.alpha_t + self.sigma_t), self.sigma_s / (self.alpha_s + self.sigma_s)
        if tau_t == 0 or tau_s == 0:
            return math.inf, math.inf, self.alpha_s + self.sigma_s
        return math.log(tau_t / tau_s), -math.log(tau_t), self.alpha_s + self.sigma_s

    @property
    def fresh(self) -> float:
        """1 - q^2, the share of new noise in a falling step.

        Raises ValueError where the step rises: noise cannot be taken back.
        """
        if self.rising:
            raise ValueError(RISES)
        return (1 - self.q) * (1 + self.q)


def ddim(p: Prediction, k: Knots) -> Tensor:
    """alpha_s x0 + sigma_s eps: the deterministic move that every solver here corrects (Song et al. 2021, eq. 12).

    It is Euler's step in kappa and in tau alike, and divides by nothing.
    """
    return k.alpha_s * p.x0 + k.sigma_s * p.eps


def ancestral(p: Prediction, k: Knots, eta: float, noise: NoiseSource) -> Tensor:
    """alpha_s x0 + sigma_s (sqrt(1 - eta^2 (1 - q^2)) eps + eta sqrt(1 - q^2) z): DDIM with eta (eq. 12 and 16)."""
    if eta == 0 or k.sigma_s == 0:
        return ddim(p, k)
    fresh = k.fresh
    kept = k.sigma_s * math.sqrt(1 - eta**2 * fresh)
    return k.alpha_s * p.x0 + kept * p.eps + (k.sigma_s * eta * math.sqrt(fresh)) * noise(p.x0)


def renoise(denoise: Denoise, x: Tensor, t: Tensor, s: Tensor, noise: NoiseSource) -> Tensor:
    """Up from t to s by the forward process: x_s = r x_t + sqrt(sigma_s^2 - r^2 sigma_t^2) z, r = alpha_s/alpha_t."""
    k = Knots.of(denoise.schedule, t, s)
    r = k.alpha_s / k.alpha_t
    return r * x + math.sqrt(max(k.sigma_s**2 - (r * k.sigma_t) ** 2, 0.0)) * noise(x)
