"""Heun's second-order method on the probability flow."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sfumato.denoise import Prediction
from sfumato.element import element
from sfumato.lazy import Tensor
from sfumato.noise import NoiseSource
from sfumato.sample.euler import CHURN, OFF, Churn
from sfumato.sample.sampler import Moved, Sampler, State
from sfumato.sample.step import Denoise, Knots, ddim

Form = Literal["tau", "kappa"]


@element("heun", label={"heun-kappa": "Heun"}, presets={"heun-kappa": {"form": "kappa"}})
class Heun(Sampler):
    """The mean of the slopes at both ends of the step. Order 2, two network calls a step, one where s = 0.

    form="tau" works in tau = sigma/(alpha + sigma), where d(x/(alpha + sigma))/dtau = eps - x0: finite at alpha = 0,
    right for every schedule. form="kappa" works in kappa = sigma/alpha with d(x/alpha)/dkappa = eps: EDM's own
    (Karras et al. 2022, algorithm 1), diffusers' and A1111's, "heun-kappa"; it falls back to Euler where alpha = 0.
    """

    form: Form = Field(default="tau", description="tau or kappa")
    churn: Churn = Field(default=OFF, description=CHURN)

    def init(self, x: Tensor, times: Tensor) -> State:
        return len(times) - 1

    def renew(self, state: State, x: Tensor, times: Tensor) -> State:
        return state  # the number of steps of the whole walk, over which churn is spread

    def step(self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor, state: State, noise: NoiseSource) -> Moved:
        x, t = self.churn(denoise, x, t, s, state, noise)
        k = Knots.of(denoise.schedule, t, s)
        return heun(denoise, denoise(x, t), k, s, self.form), state

    def infotext(self) -> dict[str, str]:
        return self.churn.infotext()


def heun(denoise: Denoise, here: Prediction, k: Knots, s: Tensor, form: Form = "tau") -> Tensor:
    """Heun's step from `here`, the prediction at t: DDIM's where s = 0, and in kappa where alpha = 0."""
    euler = ddim(here, k)
    if k.sigma_s == 0 or (form == "kappa" and 0 in (k.alpha_t, k.alpha_s)):
        return euler
    there = denoise(euler, s)
    if form == "kappa":
        step = k.sigma_s - k.alpha_s * k.sigma_t / k.alpha_t
        return euler + (step / 2) * (there.eps - here.eps)
    step = k.sigma_s - (k.alpha_s + k.sigma_s) * k.sigma_t / (k.alpha_t + k.sigma_t)
    return euler + (step / 2) * ((there.eps - there.x0) - (here.eps - here.x0))
