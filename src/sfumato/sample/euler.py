"""Euler's method on the probability flow, with the churn of Karras et al. 2022."""

from __future__ import annotations

import math

from pydantic import Field

from sfumato.element import Interval, Real, element
from sfumato.lazy import Tensor
from sfumato.noise import NoiseSource
from sfumato.sample.sampler import Moved, Sampler, State
from sfumato.sample.step import Denoise, Knots, ddim

CHURN = "Churn(amount), where 0 is off"


@element()
class Churn:
    """EDM's stochastic sampling: before a step, noise is added, up to kappa (1 + gamma).

    Karras et al. 2022, algorithm 2. gamma = min(amount/steps, sqrt(2) - 1) while t lies in `interval`. The raised
    kappa is turned into a time and read back from the schedule, so that a raise that would leave [0, 1] adds only what
    fits. `amount` = 0 is off; `scale` is the standard deviation of what is added.
    """

    amount: Real = Field(default=0.0, ge=0, le=1000, description="a number from 0 (off) to 1000")
    interval: Interval = (0.0, 1.0)
    scale: Real = Field(default=1.0, ge=0, le=2, description="a number from 0 to 2, where 1 is the noise's own size")

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

    def infotext(self) -> dict[str, str]:
        """As `Sampler.infotext`."""
        return {"Sigma churn": f"{self.amount:g}", "Sigma noise": f"{self.scale:g}"} if self.amount else {}


OFF = Churn()


@element("euler", label="Euler")
class Euler(Sampler):
    """x_s = alpha_s x0 + sigma_s eps. Order 1.

    Euler's step of d(x/alpha)/dkappa = eps (Karras et al. 2022, alg. 1) and of d(x/(alpha + sigma))/dtau = eps - x0:
    the same number, and without churn the same as `DDIM(eta=0)`.
    """

    churn: Churn = Field(default=OFF, description=CHURN)

    def init(self, x: Tensor, times: Tensor) -> State:
        return len(times) - 1

    def renew(self, state: State, x: Tensor, times: Tensor) -> State:
        return state  # the number of steps of the whole walk, over which churn is spread

    def step(self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor, state: State, noise: NoiseSource) -> Moved:
        x, t = self.churn(denoise, x, t, s, state, noise)
        return ddim(denoise(x, t), Knots.of(denoise.schedule, t, s)), state

    def infotext(self) -> dict[str, str]:
        return self.churn.infotext()
