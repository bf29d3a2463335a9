"""Euler and Maruyama's method on the reverse stochastic differential equation."""

from __future__ import annotations

from typing import ClassVar

from sfumato.element import element
from sfumato.lazy import Tensor
from sfumato.noise import NoiseSource
from sfumato.sample.sampler import Moved, Sampler, State
from sfumato.sample.step import Denoise, Knots, ancestral
from sfumato.schedule import sde


@element("euler-maruyama", label="Euler-Maruyama")
class EulerMaruyama(Sampler):
    """x_s = x - (t - s) (f x - g^2 score) + g sqrt(t - s) z, with f, g^2 and score = -eps/sigma at t. Weak order 1.

    Anderson 1982; Song et al. 2021, eq. 6. Where f is infinite (alpha_t = 0), and in the last step to s = 0, the step
    is `DDPM`'s: from pure noise, and the posterior mean. In the time sigma^2 instead of t, on a variance-exploding
    schedule, the method is `DDPM("large")`; that one solves the linear part exactly and needs fewer steps: this one is
    the textbook's.
    """

    reads_score: ClassVar[bool] = True

    def step(self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor, state: State, noise: NoiseSource) -> Moved:
        p, k = denoise(x, t), Knots.of(denoise.schedule, t, s)
        if k.rising or k.alpha_t == 0 or k.sigma_s == 0:
            return ancestral(p, k, 1.0, noise), None
        f, g2 = (float(v) for v in sde(denoise.schedule, t))
        h = float(t - s)
        return p.x - h * (f * p.x + (g2 / k.sigma_t) * p.eps) + (g2 * h) ** 0.5 * noise(p.x), None
