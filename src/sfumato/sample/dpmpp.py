"""DPM-Solver++ 2M and its stochastic form: Lu et al. 2022."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from sfumato.noise import NoiseSource
from sfumato.sample.step import Denoise, Knots, State, ancestral


@dataclass(frozen=True)
class Memory:
    """The last x0 and the last step h in log(alpha/sigma)."""

    x0: Tensor
    h: float


@dataclass(frozen=True)
class DPMpp2M:
    """DDIM plus alpha_s C: C = (1 - q^(1 + eta))/(2 r) (x0 - x0_before), r = h_before/h, q = exp(-h).

    Lu et al. 2022, algorithm 2, in the midpoint form that diffusers and k-diffusion use. sde=False is the
    probability flow (eta = 0), order 2; sde=True the reverse SDE (eta = 1), weak order 2. One network call a step.

    First order where there is no memory, where sigma_s = 0 (h infinite), and after a step from alpha = 0, whose
    infinite h would poison the memory. Without C it is `DDIM(eta)`.
    """

    sde: bool = False

    def init(self, x: Tensor, times: Tensor) -> State:
        return None

    def step(
        self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor, state: State, noise: NoiseSource
    ) -> tuple[Tensor, State]:
        p, k = denoise(x, t), Knots.of(denoise.schedule, t, s)
        eta = 1 if self.sde else 0
        x = ancestral(p, k, eta, noise)
        q = k.q
        if q in (0, 1, math.inf):
            return x, None
        h = -math.log(q)
        if state is not None:
            C = -math.expm1(-(1 + eta) * h) * h / (2 * state.h) * (p.x0 - state.x0)
            x = x + k.alpha_s * C
        return x, Memory(p.x0, h)
