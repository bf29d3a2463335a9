"""DPM-Solver with steps that its own error chooses: Lu et al. 2022."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

from pydantic import Field

from sfumato.element import Real, Whole, element
from sfumato.lazy import Tensor, torch
from sfumato.noise import NoiseSource
from sfumato.predict import expand
from sfumato.sample.adaptive import FINEST, TOLERANCE, choose, size_of
from sfumato.sample.dpm_solver import KappaFlow, embedded, kappa_at, last_knot, lowered
from sfumato.sample.sampler import Moved, Sampler, State
from sfumato.sample.singlestep import ETA
from sfumato.sample.step import Denoise, Knots, ddim

FIRST = 0.05
"""The step in log(alpha/sigma) that is tried first."""
SAFETY = 0.81
"""A try is taken where the next one would not be shorter than this."""
NEARLY = 1e-5  # what is left of a step of the grid in log(alpha/sigma) when it is done


@dataclass(frozen=True)
class _Tried:
    """The step that each picture tries next (B,), and the time of the walk's last knot before 0."""

    h: Tensor
    last: Tensor


@element("dpm-adaptive", label="DPM adaptive")
class DPMAdaptive(Sampler):
    """DPM-Solver of order 3 or 2 by steps that each picture chooses, from the order that is embedded in it.

    The error of a step is the root mean square over a picture's values of (y_high - y_low)/max(atol, rtol max(|y_low|,
    |y_before|)), y = x/alpha and y_before the last step's y_low. The next is 1 + atan(error^(-1/order) - 1) times as
    long, and this one is taken where that is at least 0.81 (Lu et al. 2022, "DPM-Solver", appendix C; k-diffusion's
    `sample_dpm_adaptive`, whose controller and defaults these are; there the whole batch has one step size).

    The grid's knots are visited besides: two steps, equal in log(alpha/sigma), are one walk from the highest noise
    level to `schedule.last`, and from there to 0. `order` calls a try. From alpha = 0, and to 0, it is `DDIM`.

    rtol, atol: relative to values of y, the data's own.
    eta: 1 is ancestral sampling, as A1111 walks it: every step but the last ends lower, and new noise leads up again.
    denoise_to_zero: whether the step to 0 asks once more for the picture. Without it the last noise, `schedule.last`'s,
        stays in x, as k-diffusion's does.
    """

    own_schedule: ClassVar[str | None] = "Exponential"

    order: Whole = Field(default=3, ge=2, le=3, description="2 or 3")
    rtol: Real = Field(default=0.05, gt=0, le=1e9, description=TOLERANCE)
    atol: Real = Field(default=0.0078, gt=0, le=1e9, description=TOLERANCE)
    eta: Real = Field(default=0.0, ge=0, le=1, description=ETA)
    denoise_to_zero: bool = Field(default=True, description="true or false")

    def counted(self, steps: int) -> tuple[Sampler, int]:
        """One walk and the step to 0, whatever they say."""
        return replace(self, denoise_to_zero=False), 2

    def infotext(self) -> dict[str, str]:
        return {"Eta": f"{self.eta:g}"}

    def init(self, x: Tensor, times: Tensor) -> State:
        return _Tried(torch.full((len(x),), FIRST, dtype=torch.float64), last_knot(times))

    def step(self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor, state: State, noise: NoiseSource) -> Moved:
        k = Knots.of(denoise.schedule, t, s)
        if k.sigma_s == 0 and not self.denoise_to_zero:
            return x * (k.alpha_s / k.alpha_t), state
        flow = KappaFlow(denoise, t, s)
        if flow.straight:
            return ddim(denoise(x, t), k), state
        last = kappa_at(denoise.schedule, state.last)
        y, h = self._walk(flow, x / k.alpha_t, state.h, last, noise)
        return k.alpha_s * y, _Tried(h, state.last)

    def _walk(self, flow: KappaFlow, y: Tensor, h: Tensor, last: float, noise: NoiseSource) -> tuple[Tensor, Tensor]:
        """y at the end of the flow, and the step that each picture would try next."""
        whole = math.log(flow.begin / flow.end)
        sign, finest = math.copysign(1.0, whole), abs(whole) * FINEST
        a, before, steps = torch.full_like(h, flow.begin), y, torch.zeros(len(y), dtype=torch.int64)
        while bool((moving := sign * torch.log(a / flow.end) > NEARLY).any()):
            here = flow.ask(y, a)
            length = h.clamp(min=finest)
            ahead = torch.where(length >= sign * torch.log(a / flow.end), flow.end, a * torch.exp(-sign * length))
            b = torch.where(moving, ahead, a)  # those that have arrived are asked again where they are
            below, new = lowered(a, b, self.eta, last)
            low, high = embedded(flow, here, a, below, self.order)
            factor = self._factor(low, high, before)
            taken = moving & ((factor >= SAFETY) | (length <= finest))
            if bool((taken & (new > 0)).any()):
                high = high + expand(new, y) * _drawn(noise, y, steps, taken)
            y, before = choose(taken, high, y), choose(taken, low, before)
            a, steps = torch.where(taken, b, a), steps + taken
            h = torch.where(moving, length * factor, h)
        return y, h

    def _factor(self, low: Tensor, high: Tensor, before: Tensor) -> Tensor:
        """(B,): how many times as long each picture's next step may be; one that is NaN comes out as it is."""
        allowed = (self.rtol * torch.maximum(low.abs(), before.abs())).clamp(min=self.atol)
        error = size_of(low - high, allowed)
        order = 1.5 if self.eta else self.order
        return 1 + torch.atan((error + 1e-8) ** (-1 / order) - 1)


def _drawn(noise: NoiseSource, y: Tensor, steps: Tensor, taken: Tensor) -> Tensor:
    """New noise of the pictures that go on: the n-th draw for one that has gone n steps, whatever its neighbours do."""
    z = torch.zeros_like(y)
    for n in steps[taken].unique().tolist():
        z = choose(taken & (steps == n), noise(y, "step", n), z)
    return z
