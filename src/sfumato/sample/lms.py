"""The linear multistep method in kappa = sigma/alpha: k-diffusion's LMS."""

from __future__ import annotations

from pydantic import Field

from sfumato.element import Whole, element
from sfumato.lazy import Tensor
from sfumato.noise import NoiseSource
from sfumato.sample.multistep import Answer, Memory, correction
from sfumato.sample.sampler import Moved, Sampler, State
from sfumato.sample.step import Denoise, Knots, ddim


@element("lms", label="LMS")
class LMS(Sampler):
    """DDIM plus alpha_s times the integral of eps - eps_t over kappa, of the polynomial through the last eps in kappa.

    The exact solution is x_s/alpha_s = x_t/alpha_t + integral eps dkappa. k-diffusion's `sample_lms`, diffusers'
    `LMSDiscreteScheduler`; `AdamsBashforth` is the same in tau, which is finite at alpha = 0 too, and `DEIS` in
    log kappa. One network call a step.

    order: up to 4, reached step by step from 1 (DDIM). First order after alpha = 0, where kappa is infinite.
    """

    order: Whole = Field(default=4, ge=1, le=4, description="1, 2, 3 or 4")

    def init(self, x: Tensor, times: Tensor) -> State:
        return Memory((), len(times) - 1, falls=False)

    def step(self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor, state: State, noise: NoiseSource) -> Moved:
        p, k = denoise(x, t), Knots.of(denoise.schedule, t, s)
        if 0 in (k.alpha_t, k.alpha_s):
            return ddim(p, k), state.cleared()
        here = Answer(k.sigma_t / k.alpha_t, p.eps)
        d = k.sigma_s / k.alpha_s - here.place
        if d == 0:
            return ddim(p, k), state.cleared()
        C = d * correction(here, state.past, d, [1 / 2, 1 / 3, 1 / 4][: state.order(self.order) - 1])
        return ddim(p, k) + k.alpha_s * C, state.with_(here, keep=self.order - 1)
