"""DPM-Solver++ 2M and 3M and their stochastic forms: Lu et al. 2022."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from sfumato.element import element
from sfumato.lazy import Tensor
from sfumato.noise import NoiseSource
from sfumato.sample.heun import Form, heun
from sfumato.sample.multistep import FAR, FEW, Answer, Memory, correction, exponential
from sfumato.sample.sampler import Moved, Sampler, State
from sfumato.sample.step import Denoise, Knots, ancestral

_SDE = "true for the reverse SDE, false for the probability flow"


@element(
    "dpmpp-2m",
    label={
        "dpmpp-2m": "DPM++ 2M",
        "dpmpp-2m-sde": "DPM++ 2M SDE",
        "dpmpp-2m-sde-heun": "DPM++ 2M SDE Heun",
        "res-multistep": "Res Multistep",
    },
    presets={
        "dpmpp-2m-sde": {"sde": True},
        "dpmpp-2m-sde-heun": {"sde": True, "solver": "heun"},
        "res-multistep": {"solver": "heun"},
    },
)
class DPMpp2M(Sampler):
    """DDIM plus alpha_s C: C = (1 - q^(1 + eta))/(2 r) (x0 - x0_before), r = h_before/h, q = exp(-h).

    Lu et al. 2022, algorithm 2, in the midpoint form that diffusers and k-diffusion use. sde=False is the
    probability flow (eta = 0), order 2; sde=True the reverse SDE (eta = 1), weak order 2. One network call a step.
    solver="heun" takes the exact integral of the line through both x0, with 1 - (1 - q^(1 + eta))/((1 + eta) h) for
    (1 - q^(1 + eta))/2; on the flow it is the multistep solver of Zhang et al. 2023, "Improved Order Analysis and
    Design of Exponential Integrator for Diffusion Models Sampling", which ComfyUI calls `res_multistep`.

    form="kappa" measures h in log kappa, kappa = sigma/alpha, as the paper does. form="tau" measures it in log tau,
    tau = sigma/(alpha + sigma), and adds (alpha_s + sigma_s) C: another solver of order 2, finite where alpha = 0; of
    flow matching, where tau is sigma, what ComfyUI runs by both names. It is of the probability flow alone.

    First order where there is no memory, where sigma_s = 0 (h infinite), and after a step from alpha = 0, whose
    infinite h would poison the memory. Without C it is `DDIM(eta)`.
    """

    sde: bool = Field(default=False, description=_SDE)
    solver: Literal["midpoint", "heun"] = Field(default="midpoint", description="midpoint or heun")
    form: Form = Field(default="kappa", description="kappa or tau")

    @model_validator(mode="after")
    def _fits(self) -> DPMpp2M:
        if self.sde and self.form == "tau":
            raise ValueError('the reverse SDE is walked in log kappa alone: choose sde or form="tau"')
        return self

    def init(self, x: Tensor, times: Tensor) -> State:
        return Memory((), len(times) - 1, falls=False)

    def step(self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor, state: State, noise: NoiseSource) -> Moved:
        p, k = denoise(x, t), Knots.of(denoise.schedule, t, s)
        x = ancestral(p, k, self.sde, noise)
        h, place, size = (k.h, k.place, k.alpha_s) if self.form == "kappa" else k.in_tau
        if not 0 < abs(h) < FAR:
            return x, state.cleared()
        here = Answer(place, p.x0)
        share, line = exponential(h, 1 + self.sde, 1)
        C = correction(here, state.past, h, [share / 2 if self.solver == "midpoint" else line])
        return x + size * C, state.with_(here, keep=1)


@element(
    "dpmpp-3m",
    label={"dpmpp-3m": "DPM++ 3M", "dpmpp-3m-sde": "DPM++ 3M SDE", "dpmpp-3m-exact": "DPM++ 3M exact"},
    presets={"dpmpp-3m-sde": {"sde": True}, "dpmpp-3m-exact": {"exact": True}},
)
class DPMpp3M(Sampler):
    """DDIM plus alpha_s C, C = integral_0^h k e^(k (u - h)) (x0(u) - x0) du of the parabola through the last three x0.

    h is the step in log(alpha/sigma), k = 1 on the probability flow (sde=False) and 2 in the reverse SDE (sde=True).
    With the divided differences f01 and f012 of x0, newest first, and h_0 the step before,

        C = I_1 f01 + (I_2 + I_1 h_0) f012,    I_1 = h - (1 - e^(-k h))/k,    I_2 = h^2 - 2 I_1/k.

    exact=True is that, begun by a step of Heun: order 3 on the flow. exact=False is the field's solver (k-diffusion's
    `dpmpp_3m_sde`, diffusers' `solver_order=3`), which halves I_2, takes 2M for its second step, and is of order 2. The
    stochastic one is k-diffusion's, whose second step has I_1; in diffusers' a term of I_2 has the other sign, which
    costs it its order.
    3M wants steps even in log(alpha/sigma), the grids log-snr or karras: where a step is several times the one before,
    as at the end of the leading grid, the parabola reaches too far, most of all the stochastic one's.

    One network call a step. First order where there is no memory, where sigma_s = 0, and after alpha = 0; below 15
    steps the last but one is second order, but of the stochastic one. Raises BadInput for exact=True with sde=True:
    there is no such start.
    """

    sde: bool = Field(default=False, description=_SDE)
    exact: bool = Field(default=False, description="true for order 3, false for the field's solver")

    @model_validator(mode="after")
    def _fits(self) -> DPMpp3M:
        if self.sde and self.exact:
            raise ValueError("DPM-Solver++ 3M is exact on the probability flow only: choose sde or exact")
        return self

    def init(self, x: Tensor, times: Tensor) -> State:
        return Memory((), len(times) - 1, falls=not self.sde and len(times) - 1 < FEW)

    def step(self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor, state: State, noise: NoiseSource) -> Moved:
        p, k = denoise(x, t), Knots.of(denoise.schedule, t, s)
        here, order = Answer(k.place, p.x0), state.order(3)
        if not 0 < abs(k.h) < FAR:
            return ancestral(p, k, self.sde, noise), state.cleared()
        if self.exact and not state.past:
            return heun(denoise, p, k, s), state.with_(here, keep=2)
        C = correction(here, state.past, k.h, self._moments(k.h, order))
        return ancestral(p, k, self.sde, noise) + k.alpha_s * C, state.with_(here, keep=2)

    def _moments(self, h: float, order: int) -> list[float]:
        m = exponential(h, 1 + self.sde, 2)
        if self.exact:
            return m[1:order]
        return {1: [], 2: [m[1] if self.sde else m[0] / 2], 3: [m[1], m[2] / 2]}[order]
