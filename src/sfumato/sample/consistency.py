"""Multistep sampling of a consistency function: Song et al. 2023; Luo et al. 2023 (latent consistency models)."""

from __future__ import annotations

from sfumato.element import element
from sfumato.lazy import Tensor
from sfumato.noise import NoiseSource
from sfumato.sample.sampler import Moved, Sampler, State
from sfumato.sample.step import Denoise, Knots


@element("consistency", label="LCM")
class Consistency(Sampler):
    """x_s = alpha_s x0 + sigma_s z: jump to the end of the probability flow, and noise it anew to s.

    Song et al. 2023, algorithm 1; Luo et al. 2023, algorithm 3, for any schedule. x0 is a consistency function's
    answer, f(x_t, t) = x_0 of the flow through x_t; then every s has the right marginal, and one step is enough. With
    a denoiser's E[x0 | x_t] in its place each step keeps nothing of x_t but that, and few steps give too smooth
    pictures. From alpha_t = 0 it is `DDPM`'s step. One network call a step. A denoiser that declares itself a
    consistency function (`Preconditioned(consistency=True)`) refuses every other sampler.
    """

    walks_consistency = True

    def step(self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor, state: State, noise: NoiseSource) -> Moved:
        p, k = denoise(x, t), Knots.of(denoise.schedule, t, s)
        if k.rising:
            raise ValueError("A consistency function leads down only: invert with ddim (eta = 0) or heun.")
        return (p.x0 if k.sigma_s == 0 else k.alpha_s * p.x0 + k.sigma_s * noise(p.x0)), None
