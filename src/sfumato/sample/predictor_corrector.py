"""Predictor-corrector sampling: Song et al. 2021."""

from __future__ import annotations

from functools import cache
from typing import ClassVar, Literal

from pydantic import Field

from sfumato.element import Real, Whole, element
from sfumato.lazy import Tensor
from sfumato.noise import NoiseSource
from sfumato.sample.ddim import DDIM
from sfumato.sample.ddpm import DDPM
from sfumato.sample.euler_maruyama import EulerMaruyama
from sfumato.sample.langevin import Langevin
from sfumato.sample.sampler import Moved, Sampler, State
from sfumato.sample.step import Denoise

PREDICTORS: dict[str, Sampler] = {"ddpm": DDPM(), "ddim": DDIM(), "euler-maruyama": EulerMaruyama()}


@element("predictor-corrector", label="Predictor-corrector")
class PredictorCorrector(Sampler):
    """A step of the `predictor` from t to s, then `corrections` moves of Langevin's dynamics at s.

    Song et al. 2021, algorithm 1, with the corrector of algorithms 4 and 5: x + epsilon score + sqrt(2 epsilon) z,
    epsilon = 2 (snr sigma)^2. It is the grid with every knot repeated, walked by a sampler that predicts where s < t
    and corrects where s == t; a repeated knot given to it corrects without predicting. corrections = 0 is the
    predictor alone. snr: 0.16 is the paper's for variance-exploding CIFAR-10; its square is the share of noise moved.

    The predictor brings its weak order; the corrector pulls towards the right marginal at every level, and leaves an
    error of about snr^2 however many steps there are. Network calls: 1 + corrections a step, one in the last.
    """

    reads_score: ClassVar[bool] = True

    predictor: Literal["ddpm", "ddim", "euler-maruyama"] = Field(
        default="ddpm", description="ddpm, ddim or euler-maruyama"
    )
    snr: Real = Field(default=0.16, gt=0, lt=1, description="a number between 0 and 1")
    corrections: Whole = Field(default=1, ge=0, le=1000, description="a whole number from 0 to 1000")

    def init(self, x: Tensor, times: Tensor) -> State:
        return PREDICTORS[self.predictor].init(x, times)

    def renew(self, state: State, x: Tensor, times: Tensor) -> State:
        return PREDICTORS[self.predictor].renew(state, x, times)

    def step(self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor, state: State, noise: NoiseSource) -> Moved:
        if s != t:
            x, state = PREDICTORS[self.predictor].step(denoise, x, t, s, state, noise)
        if s > 0 and self.corrections > 0:
            x, _ = _corrector(self.corrections, self.snr).step(denoise, x, s, s, None, noise.at("corrector"))
        return x, state


@cache
def _corrector(corrections: int, snr: float) -> Langevin:
    return Langevin(corrections, 4 * snr**2)
