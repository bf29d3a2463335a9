"""Adams-Bashforth in tau = sigma/(alpha + sigma)."""

from __future__ import annotations

from pydantic import Field

from sfumato.element import Whole, element
from sfumato.lazy import Tensor
from sfumato.noise import NoiseSource
from sfumato.sample.heun import heun
from sfumato.sample.multistep import Answer, Memory, correction
from sfumato.sample.sampler import Moved, Sampler, State
from sfumato.sample.step import Denoise, Knots, ddim


@element("adams-bashforth", label="Adams-Bashforth")
class AdamsBashforth(Sampler):
    """DDIM plus (alpha_s + sigma_s) times the integral of u - u_t over tau, of the polynomial through the last u.

    u = eps - x0 is the slope of x/(alpha + sigma) in tau = sigma/(alpha + sigma), which is finite from t = 1 to t = 0
    on every schedule, so that the order holds over the whole range. Order 2 on even steps is u_t + (u_t - u_before)/2.

    order: 1 (DDIM), 2 or 3; order 3 begins with a step of Heun. One network call a step.
    """

    order: Whole = Field(default=2, ge=1, le=3, description="1, 2 or 3")

    def init(self, x: Tensor, times: Tensor) -> State:
        return Memory((), len(times) - 1, falls=False)

    def step(self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor, state: State, noise: NoiseSource) -> Moved:
        p, k = denoise(x, t), Knots.of(denoise.schedule, t, s)
        here = Answer(k.sigma_t / (k.alpha_t + k.sigma_t), p.eps - p.x0)
        d = k.sigma_s / (k.alpha_s + k.sigma_s) - here.place
        if d == 0:
            return ddim(p, k), state.cleared()
        if self.order == 3 and not state.past:
            return heun(denoise, p, k, s), state.with_(here, keep=2)
        C = d * correction(here, state.past, d, [1 / 2, 1 / 3][: state.order(self.order) - 1])
        return ddim(p, k) + (k.alpha_s + k.sigma_s) * C, state.with_(here, keep=self.order - 1)
