"""DPM-Solver++ for the reverse SDE in single steps: k-diffusion's."""

from __future__ import annotations

import math

from pydantic import Field

from sfumato.element import Real, element
from sfumato.lazy import Tensor
from sfumato.noise import NoiseSource
from sfumato.sample.sampler import Moved, Sampler, State
from sfumato.sample.singlestep import ETA, lowered, middle
from sfumato.sample.step import Denoise, Knots, ancestral, ddim


@element("dpmpp-sde", label="DPM++ SDE")
class DPMppSDE(Sampler):
    """`DPMpp2S` on the reverse SDE: an ancestral step to the middle, and one over the whole step with its picture.

    x_m = DDIM(eta) from t to m, half way in log(alpha/sigma), and then, with h' the step to sigma' below sigma_s,

        x_s = (sigma'/sigma_t) x_t + alpha_s (1 - e^-h') x0_m + eta sigma_s sqrt(1 - q^2) z.

    The noise z of the step holds that of its first half, z_m, as increments of one Brownian motion over kappa =
    sigma/alpha do: z = c z_m + sqrt(1 - c^2) z', c^2 = (kappa_t - kappa_m)/(kappa_t - kappa_s). k-diffusion's
    `sample_dpmpp_sde` with r = 1/2, A1111's "DPM++ SDE". Two network calls a step, one where s = 0 or alpha_t = 0:
    there it is `DDIM(eta)`. Weak order 2. eta = 0 is `DPMpp2S` to the bit.
    """

    eta: Real = Field(default=1.0, ge=0, le=1, description=ETA)

    def step(self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor, state: State, noise: NoiseSource) -> Moved:
        here, k = denoise(x, t), Knots.of(denoise.schedule, t, s)
        m = middle(denoise.schedule, k, t)
        if m is None:
            return ancestral(here, k, self.eta, noise), None
        (half, little), (whole, new) = (lowered(each, self.eta) for each in (Knots.of(denoise.schedule, t, m), k))
        z = noise(x, "middle") if new else 0.0
        there = denoise(ddim(here, half) + little * z, m)
        end = ddim(here, whole) + whole.alpha_s * (1 - whole.q) * (there.x0 - here.x0)
        if not new:
            return end, None
        share = 1 / (1 + math.sqrt(k.q))  # c^2, for kappa_m is sqrt(kappa_t kappa_s)
        return end + new * (math.sqrt(share) * z + math.sqrt(1 - share) * noise(x)), None
