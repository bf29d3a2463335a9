"""DPM-Solver++ 2S and its ancestral form: Lu et al. 2022."""

from __future__ import annotations

from pydantic import Field

from sfumato.denoise import Prediction
from sfumato.element import Real, element
from sfumato.lazy import Tensor
from sfumato.noise import NoiseSource
from sfumato.sample.sampler import Moved, Sampler, State
from sfumato.sample.singlestep import ETA, through_the_middle
from sfumato.sample.step import Denoise, Knots


@element("dpmpp-2s", label={"dpmpp-2s": "DPM++ 2S", "dpmpp-2s-a": "DPM++ 2S a"}, presets={"dpmpp-2s-a": {"eta": 1.0}})
class DPMpp2S(Sampler):
    """x_s = (sigma_s/sigma_t) x_t + alpha_s (1 - e^-h) x0_m: the picture seen at the middle m of the step.

    h is the step in log(alpha/sigma), and x0_m is what the network answers half way, where DDIM's step leads. Lu et
    al. 2022, "DPM-Solver++", algorithm 1 with r = 1/2; k-diffusion's `sample_dpmpp_2s_ancestral`. Order 2, two network
    calls a step, one where s = 0 or alpha_t = 0: there it is `DDIM`.

    eta: 1 is ancestral sampling ("DPM++ 2S a"): the step ends below sigma_s, and new noise leads up to it. Weak order
    2. `DPMppSDE` has noise at the middle too.
    """

    eta: Real = Field(default=0.0, ge=0, le=1, description=ETA)

    def step(self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor, state: State, noise: NoiseSource) -> Moved:
        def picture(here: Prediction, there: Prediction, k: Knots) -> Tensor:
            return k.alpha_s * (1 - k.q) * (there.x0 - here.x0)

        return through_the_middle(denoise, x, t, s, self.eta, noise, picture), None
