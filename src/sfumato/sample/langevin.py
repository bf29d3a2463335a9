"""Annealed Langevin dynamics: Song & Ermon 2019."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from sfumato.noise import NoiseSource
from sfumato.picture import BadInput
from sfumato.sample.step import Denoise, Knots, State

End = Literal["denoised", "noisy"]


@dataclass(frozen=True)
class Langevin:
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
    calls: `repeats` a level, and one more at the end. Raises BadInput unless repeats >= 1 and 0 < size < 4.
    """

    repeats: int = 10
    size: float = 0.5
    end: End = "denoised"

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise BadInput(f"Langevin dynamics repeats at least once a level, not {self.repeats} times.")
        if not 0 < self.size < 4:
            raise BadInput(f"Langevin's step size lies between 0 and 4, where it becomes unstable, not {self.size}.")
        if self.end not in get_args(End):
            raise BadInput(f"Langevin's end is denoised or noisy, not {self.end!r}.")

    def init(self, x: Tensor, times: Tensor) -> State:
        return None

    def step(
        self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor, state: State, noise: NoiseSource
    ) -> tuple[Tensor, State]:
        k = Knots.of(denoise.schedule, t, s)
        if k.rising:
            raise ValueError("Langevin dynamics does not walk upwards: invert with ddim (eta = 0) or heun.")
        for i in range(self.repeats):
            eps, z = denoise(x, t).eps, noise(x, "again", i)
            x = x + k.sigma_t * (math.sqrt(self.size) * z - self.size / 2 * eps)
        if s == 0 and self.end == "denoised":
            return denoise(x, t).x0, None
        return (x if k.alpha_t == 0 else x * (k.alpha_s / k.alpha_t)), None
