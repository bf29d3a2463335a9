"""Annealed Langevin dynamics: Song & Ermon 2019."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from pydantic import Field

from sfumato.element import Real, Whole, element
from sfumato.lazy import Tensor
from sfumato.noise import NoiseSource
from sfumato.sample.sampler import Moved, Sampler, State
from sfumato.sample.step import Denoise, Knots


@element("langevin", label="Langevin")
class Langevin(Sampler):
    """At every level t, `repeats` times x <- x + a/2 score + sqrt(a) z with a = size sigma_t^2; then on to the next.

    Song & Ermon 2019, algorithm 1, for any schedule: score = -eps/sigma, so that a move is
    x - size/2 sigma eps + sqrt(size) sigma z. Their rule a_i = epsilon sigma_i^2/sigma_L^2 is size =
    epsilon/sigma_L^2: 0.2 with epsilon = 2e-5 and sigma_L = 0.01, where `repeats` is 100 over 10 levels.

    The grid's knots are the levels. Between two of them x/alpha stays, as x does in the paper, whose alpha is 1: the
    chain is the same one for every schedule with the same kappa = sigma/alpha. Levels must lie close to each other.
    On a repeated knot (s == t) it is Song et al.'s corrector (2021, algorithms 4 and 5) with
    epsilon = 2 (snr sigma)^2, that is size = 4 snr^2: their norms of score and noise, taken over a batch, would make a
    picture depend on its neighbours. At s = 0, `end` "denoised" gives E[x0 | x] (Jolicoeur-Martineau et al. 2021),
    "noisy" leaves the last level's noise on it (the paper's algorithm 1).

    It has no order: at each level it draws from that marginal as `size` goes to 0 and `repeats` to infinity. Network
    calls: `repeats` a level, and one more at the end. From `size` 4 on the moves are unstable.
    """

    reads_score: ClassVar[bool] = True

    repeats: Whole = Field(default=10, ge=1, le=10_000, description="a whole number from 1 to 10,000")
    size: Real = Field(default=0.5, gt=0, lt=4, description="a number between 0 and 4")
    end: Literal["denoised", "noisy"] = Field(default="denoised", description="denoised or noisy")

    def step(self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor, state: State, noise: NoiseSource) -> Moved:
        k = Knots.of(denoise.schedule, t, s)
        if k.rising:
            raise ValueError("Langevin dynamics does not walk upwards: invert with ddim (eta = 0) or heun.")
        for i in range(self.repeats):
            eps, z = denoise(x, t).eps, noise(x, "again", i)
            x = x + k.sigma_t * (math.sqrt(self.size) * z - self.size / 2 * eps)
        if s == 0 and self.end == "denoised":
            return denoise(x, t).x0, None
        return (x if k.alpha_t == 0 else x * (k.alpha_s / k.alpha_t)), None
