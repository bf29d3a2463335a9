"""Sampling: the loop, written once, and the samplers, each in a file of its own.

A sampler takes one step from t to s; the loop walks the grid, lets a hold act after every move and hands each step
to the caller's `for`, to whom progress bars, previews and cancelling belong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sfumato.denoise import Bound, Prediction
from sfumato.lazy import Tensor, torch
from sfumato.noise import NoiseSource
from sfumato.sample.adams_bashforth import AdamsBashforth
from sfumato.sample.consistency import Consistency
from sfumato.sample.ddim import DDIM
from sfumato.sample.ddpm import DDPM
from sfumato.sample.deis import DEIS
from sfumato.sample.dpm2 import DPM2
from sfumato.sample.dpm_adaptive import DPMAdaptive
from sfumato.sample.dpm_fast import DPMFast
from sfumato.sample.dpmpp import DPMpp2M, DPMpp3M
from sfumato.sample.dpmpp_2s import DPMpp2S
from sfumato.sample.dpmpp_sde import DPMppSDE
from sfumato.sample.euler import Churn, Euler
from sfumato.sample.euler_maruyama import EulerMaruyama
from sfumato.sample.heun import Heun
from sfumato.sample.langevin import Langevin
from sfumato.sample.lms import LMS
from sfumato.sample.plms import PLMS
from sfumato.sample.predictor_corrector import PredictorCorrector
from sfumato.sample.rk45 import RK45
from sfumato.sample.sampler import Sampler, State, refuse_misfits
from sfumato.sample.step import Denoise, renoise
from sfumato.sample.unipc import UniPC

Held = Callable[[Tensor, Tensor, NoiseSource], Tensor]
Up = Callable[[Denoise, Tensor, Tensor, Tensor, NoiseSource], Tensor]

__all__ = [
    "DDIM",
    "DDPM",
    "DEFAULT_SAMPLER",
    "DEIS",
    "DPM2",
    "LMS",
    "PLMS",
    "RK45",
    "AdamsBashforth",
    "Churn",
    "Consistency",
    "DPMAdaptive",
    "DPMFast",
    "DPMpp2M",
    "DPMpp2S",
    "DPMpp3M",
    "DPMppSDE",
    "Denoise",
    "Euler",
    "EulerMaruyama",
    "Heun",
    "Langevin",
    "PredictorCorrector",
    "Sampler",
    "State",
    "Step",
    "UniPC",
    "renoise",
    "trajectory",
]

DEFAULT_SAMPLER = DPMpp2M()


@dataclass(frozen=True, eq=False)
class Step:
    """One move done: index + 1 of total; x now stands at time t; `prediction` is the denoiser's last answer.

    What `trajectory` yields after every move, for progress, previews and studies. x is (B, C, h, w) in the model's
    own space; `prediction.x0` is the picture that the denoiser sees in it; `prediction` is None where no denoiser was
    asked.
    """

    index: int
    total: int
    t: Tensor
    x: Tensor
    prediction: Prediction | None


def trajectory(
    denoise: Denoise,
    sampler: Sampler,
    x: Tensor,
    times: Tensor,
    noise: NoiseSource,
    hold: Held | None = None,
    up: Up | None = renoise,
) -> Iterator[Step]:
    """Walks x (B, ...) along the grid `times`: the only sampling loop.

    At each pair (t, s): where the grid rises, noise is added (`up`) and the sampler's memory is cleared, or, with
    up=None, the sampler walks upwards (inversion); otherwise the sampler steps. Then the hold acts, then a `Step` is
    yielded. Noise is keyed by its use (("step", i), ("hold", i), ("up", i)), so that no user of it disturbs another.

    A grid of one knot makes no move: the hold acts once and one Step with total = 0 is yielded. Nothing here keeps
    the caller from stopping at any step, and gradients are off only inside the step, never around the `yield`.
    Where a relay's next model takes over (`sfumato.edit.refiner`) the memory is cleared too.
    A consistency function refuses every sampler but `Consistency`, and CFG++ those that read the score.
    """
    refuse_misfits(denoise, sampler)
    last = _Last(denoise)
    total = len(times) - 1
    if total == 0:
        with torch.no_grad():
            x = x if hold is None else hold(x, times[0], noise.at("hold", 0))
        yield Step(0, 0, times[0], x, None)
        return
    state = sampler.init(x, times)
    knots, ends = times.tolist(), times.unbind()
    cut = getattr(getattr(denoise, "denoiser", None), "cut", None)
    for i in range(total):
        t, s = ends[i], ends[i + 1]
        last.highest = t if knots[i] >= knots[i + 1] else s
        if cut is not None and i and knots[i] <= cut < knots[i - 1]:
            state = sampler.renew(state, x, times[i:])
        with torch.no_grad():
            if knots[i + 1] > knots[i] and up is not None:
                x = up(last, x, t, s, noise.at("up", i))
                state = sampler.renew(state, x, times[i + 1 :])
            else:
                x, state = sampler.step(last, x, t, s, state, noise.at("step", i))
            if hold is not None:
                x = hold(x, s, noise.at("hold", i))
        yield Step(i, total, s, x, last.prediction)


class _Last:
    """A bound denoiser that remembers its last answer. highest: the higher end of the step at hand; asked above it, as
    churn does, it is told what is told there, so that what changes with time changes at the knots."""

    def __init__(self, denoise: Denoise) -> None:
        self.denoise = denoise
        self.schedule = denoise.schedule
        self.prediction: Prediction | None = None
        self.highest: Tensor | None = None

    def __call__(self, x: Tensor, t: Tensor) -> Prediction:
        above = self.highest is not None and t.ndim == 0 and t > self.highest
        asked: Any = self.denoise
        self.prediction = asked(x, t, self.highest) if above and isinstance(asked, Bound) else asked(x, t)
        return self.prediction  # type: ignore[return-value]
