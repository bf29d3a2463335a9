"""DPM-Solver-2 and its ancestral form: Lu et al. 2022."""

from __future__ import annotations

from pydantic import Field

from sfumato.denoise import Prediction
from sfumato.element import Real, element
from sfumato.lazy import Tensor
from sfumato.noise import NoiseSource
from sfumato.sample.sampler import Moved, Sampler, State
from sfumato.sample.singlestep import ETA, through_the_middle
from sfumato.sample.step import Denoise, Knots


@element("dpm2", label={"dpm2": "DPM2", "dpm2-a": "DPM2 a"}, presets={"dpm2-a": {"eta": 1.0}})
class DPM2(Sampler):
    """x_s/alpha_s = x_t/alpha_t + (kappa_s - kappa_t) eps_m: the slope at the middle m of the step in log kappa.

    kappa is sigma/alpha, and eps_m is what the network answers at sqrt(kappa_t kappa_s), where DDIM's step leads.
    Lu et al. 2022, "DPM-Solver", algorithm 1; Karras et al. 2022, table 1; k-diffusion's `sample_dpm_2`, diffusers'
    `KDPM2DiscreteScheduler`. Order 2, two network calls a step, one where s = 0 or alpha_t = 0: there it is `DDIM`.

    eta: 1 is ancestral sampling ("DPM2 a"): the step ends below kappa_s, and new noise leads up to it. Weak order 2.
    """

    eta: Real = Field(default=0.0, ge=0, le=1, description=ETA)

    def step(self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor, state: State, noise: NoiseSource) -> Moved:
        def slope(here: Prediction, there: Prediction, k: Knots) -> Tensor:
            return (k.sigma_s - k.alpha_s * k.sigma_t / k.alpha_t) * (there.eps - here.eps)

        return through_the_middle(denoise, x, t, s, self.eta, noise, slope), None
