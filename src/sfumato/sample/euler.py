"""Euler's method on the probability flow, with the churn of Karras et al. 2022."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from sfumato.noise import NoiseSource
from sfumato.sample.step import Denoise, Knots, State, ddim


@dataclass(frozen=True)
class Churn:
    """EDM's stochastic sampling: before a step, noise is added, up to kappa (1 + gamma).

    Karras et al. 2022, algorithm 2. gamma = min(amount/steps, sqrt(2) - 1) while t lies in `interval`. The raised
    kappa is turned into a time and read back from the schedule, so that a raise that would leave [0, 1] adds only what
    fits. `amount` = 0 is off.
    """

    amount: float = 0.0
    interval: tuple[float, float] = (0.0, 1.0)
    scale: float = 1.0

    def __call__(
        self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor, steps: int, noise: NoiseSource
    ) -> tuple[Tensor, Tensor]:
        """x and t, raised."""
        if self.amount == 0 or s >= t or not self.interval[0] <= float(t) <= self.interval[1]:
            return x, t
        alpha, sigma = denoise.schedule(t)
        gamma = min(self.amount / steps, math.sqrt(2) - 1)
        raised = denoise.schedule.time((1 + gamma) * sigma / alpha).clamp(max=1)
        if not raised > t:
            return x, t
        k = Knots.of(denoise.schedule, t, raised)
        r = k.alpha_s / k.alpha_t
        return r * x + self.scale * math.sqrt(max(k.sigma_s**2 - (r * k.sigma_t) ** 2, 0.0)) * noise(x), raised


OFF = Churn()


@dataclass(frozen=True)
class Euler:
    """x_s = alpha_s x0 + sigma_s eps. Order 1.

    Euler's step of d(x/alpha)/dkappa = eps (Karras et al. 2022, alg. 1) and of d(x/(alpha + sigma))/dtau = eps - x0:
    the same number, and without churn the same as `DDIM(eta=0)`.
    """

    churn: Churn = OFF

    def init(self, x: Tensor, times: Tensor) -> State:
        return len(times) - 1

    def step(
        self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor, state: State, noise: NoiseSource
    ) -> tuple[Tensor, State]:
        x, t = self.churn(denoise, x, t, s, state, noise)
        return ddim(denoise(x, t), Knots.of(denoise.schedule, t, s)), state
