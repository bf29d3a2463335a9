"""DEIS: exponential Adams-Bashforth on eps. Zhang & Chen 2023."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sfumato.element import Whole, element
from sfumato.lazy import Tensor
from sfumato.noise import NoiseSource
from sfumato.sample.heun import heun
from sfumato.sample.multistep import FAR, FEW, Answer, Memory, correction, exponential
from sfumato.sample.sampler import Moved, Sampler, State
from sfumato.sample.step import Denoise, Knots, ddim


@element("deis", label="DEIS")
class DEIS(Sampler):
    """DDIM plus alpha_s times the integral of eps - eps_t over kappa, of the polynomial through the last eps.

    The exact solution is x_s/alpha_s = x_t/alpha_t + integral eps dkappa; eps is taken as a polynomial of degree
    `order` - 1 in log kappa (Zhang & Chen 2023, tAB-DEIS in log rho, as diffusers has it). With h the step in
    log(alpha/sigma) the correction is sigma_s times the sum of `multistep` with the moments of e^(h - u).

    order: 1 (DDIM), 2 or 3, one network call a step; 3 is less stable under strong guidance.
    first: the first step, "ddim" as in diffusers, whose error keeps order 3 at order 2 in the limit, or "heun", one
    call more and true order 3.

    First order where there is no memory, where sigma_s = 0, and after alpha = 0; below 15 steps the last is first and
    the last but one second order.
    """

    order: Whole = Field(default=2, ge=1, le=3, description="1, 2 or 3")
    first: Literal["ddim", "heun"] = Field(default="ddim", description="ddim or heun")

    def init(self, x: Tensor, times: Tensor) -> State:
        return Memory((), len(times) - 1, falls=len(times) - 1 < FEW)

    def step(self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor, state: State, noise: NoiseSource) -> Moved:
        p, k = denoise(x, t), Knots.of(denoise.schedule, t, s)
        here, order = Answer(k.place, p.eps), state.order(self.order)
        if not 0 < abs(k.h) < FAR:
            return ddim(p, k), state.cleared()
        if self.first == "heun" and self.order > 1 and not state.past:
            return heun(denoise, p, k, s), state.with_(here, keep=2)
        C = correction(here, state.past, k.h, exponential(k.h, -1, 2)[1:order])
        return ddim(p, k) + k.sigma_s * C, state.with_(here, keep=2)
