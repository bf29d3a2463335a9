"""Pseudo linear multistep sampling: Liu et al. 2022."""

from __future__ import annotations

from sfumato.element import element
from sfumato.lazy import Tensor
from sfumato.noise import NoiseSource
from sfumato.sample.sampler import Moved, Sampler, State
from sfumato.sample.step import Denoise, Knots, ddim

ADAMS = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))
"""Adams and Bashforth's weights of the newest answers, for as many as are remembered."""


@element("plms", label="PLMS")
class PLMS(Sampler):
    """DDIM with a mean of the last four eps: (55 eps_t - 59 eps_1 + 37 eps_2 - 9 eps_3)/24, by Adams and Bashforth.

    Liu et al. 2022, "Pseudo Numerical Methods for Diffusion Models on Manifolds", eq. 12 with the transfer of eq. 11,
    which is DDIM's; begun as CompVis and diffusers' `PNDMScheduler(skip_prk_steps=True)` begin it, the default of
    Stable Diffusion 1: the first step takes the mean of eps at both its ends, the next ones the shorter formulas. The
    weights take the steps for even: the grids leading, trailing and uniform. One network call a step, two in the first.

    DDIM where alpha_t = 0, and begun anew behind it.
    """

    def init(self, x: Tensor, times: Tensor) -> State:
        return ()

    def step(self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor, state: State, noise: NoiseSource) -> Moved:
        p, k = denoise(x, t), Knots.of(denoise.schedule, t, s)
        end = ddim(p, k)
        if 0 in (k.alpha_t, k.alpha_s) or s == t:
            return end, ()
        if not state:
            mean = (p.eps + denoise(end, s).eps) / 2 if k.sigma_s > 0 else p.eps
        else:
            answers = (p.eps, *state)
            mean = sum(weight * eps for weight, eps in zip(ADAMS[len(state)], answers, strict=True))
        step = k.sigma_s - k.alpha_s * k.sigma_t / k.alpha_t
        return end + step * (mean - p.eps), (p.eps, *state[:2])
