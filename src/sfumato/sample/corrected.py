"""Predictor-corrector sampling: Song et al. 2021."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from sfumato.noise import NoiseSource
from sfumato.picture import BadInput
from sfumato.sample.ddim import DDIM
from sfumato.sample.ddpm import DDPM
from sfumato.sample.langevin import Langevin
from sfumato.sample.maruyama import EulerMaruyama
from sfumato.sample.step import Denoise, Sampler, State

Predictor = Literal["ddpm", "ddim", "euler-maruyama"]
PREDICTORS: dict[str, Sampler] = {"ddpm": DDPM(), "ddim": DDIM(), "euler-maruyama": EulerMaruyama()}


@dataclass(frozen=True)
class PredictorCorrector:
    """A step of the `predictor` from t to s, then `corrections` moves of Langevin's dynamics at s.

    Song et al. 2021, algorithm 1, with the corrector of algorithms 4 and 5: x + epsilon score + sqrt(2 epsilon) z,
    epsilon = 2 (snr sigma)^2. It is the grid with every knot repeated, walked by a sampler that predicts where s < t
    and corrects where s == t; a repeated knot given to it corrects without predicting. corrections = 0 is the
    predictor alone. snr: 0.16 is the paper's for variance-exploding CIFAR-10; its square is the share of noise moved.

    The predictor brings its weak order; the corrector pulls towards the right marginal at every level, and leaves an
    error of about snr^2 however many steps there are. Network calls: 1 + corrections a step, one in the last. Raises
    BadInput for an unknown predictor, fewer than 0 corrections, or snr outside (0, 1).
    """

    predictor: Predictor = "ddpm"
    snr: float = 0.16
    corrections: int = 1

    def __post_init__(self) -> None:
        if self.predictor not in get_args(Predictor):
            raise BadInput(f"The predictor is one of {', '.join(get_args(Predictor))}, not {self.predictor!r}.")
        if self.corrections < 0:
            raise BadInput(f"The number of corrections is 0 or more, not {self.corrections}.")
        if not 0 < self.snr < 1:
            raise BadInput(f"The corrector's signal-to-noise ratio lies between 0 and 1, not {self.snr}.")

    def init(self, x: Tensor, times: Tensor) -> State:
        return PREDICTORS[self.predictor].init(x, times)

    def step(
        self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor, state: State, noise: NoiseSource
    ) -> tuple[Tensor, State]:
        if s != t:
            x, state = PREDICTORS[self.predictor].step(denoise, x, t, s, state, noise)
        if s > 0 and self.corrections > 0:
            corrector = Langevin(self.corrections, 4 * self.snr**2)
            x, _ = corrector.step(denoise, x, s, s, None, noise.at("corrector"))
        return x, state
