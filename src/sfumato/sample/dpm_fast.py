"""DPM-Solver-fast: Lu et al. 2022."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from pydantic import Field

from sfumato.element import Real, Whole, element
from sfumato.lazy import Tensor, torch
from sfumato.noise import NoiseSource
from sfumato.predict import expand
from sfumato.sample.dpm_solver import KappaFlow, embedded, first, kappa_at, last_knot, lowered
from sfumato.sample.sampler import Moved, Sampler, State
from sfumato.sample.singlestep import ETA
from sfumato.sample.step import Denoise, Knots, ddim

TAILS = ((2, 1), (1,), (2,))
"""The orders that a walk ends in, by the number of its calls modulo 3."""


@dataclass(frozen=True)
class _Left:
    """How many steps there are before the one to 0, and the time where they end."""

    steps: int
    last: Tensor

    def order(self, tail: tuple[int, ...]) -> int:
        return tail[-self.steps] if 0 < self.steps <= len(tail) else 3


@element("dpm-fast", label="DPM fast")
class DPMFast(Sampler):
    """Steps of DPM-Solver-3, and of lower orders at the end, so that a number of network calls is spent to the last.

    n calls are n // 3 + 1 steps, most of order 3 with three calls each: the last two are of order 2 and 1 where n is
    divisible by 3, else the last one is of order n modulo 3 (Lu et al. 2022, "DPM-Solver", section 3.4 and algorithm 2;
    k-diffusion's `sample_dpm_fast`). Take it with equal steps in log(alpha/sigma), as the paper does: 7 steps and
    the one to 0 are 18 calls and one more. Order 3 where it ends in order 2, else 2; from alpha = 0, and to 0, `DDIM`.

    calls: of how many calls the walk is, or that number modulo 3, which says the orders at its end.
    eta: 1 is ancestral sampling, as A1111 walks it: every step but the last ends below its knot, and new noise leads up
        to it. Its weak order is that of the steps.
    denoise_to_zero: whether the step to 0 asks once more for the picture. Without it the last noise, `schedule.last`'s,
        stays in x, as k-diffusion's does.
    """

    own_schedule: ClassVar[str | None] = "Exponential"

    calls: Whole = Field(default=0, ge=0, le=3000, description="a whole number from 0 to 3000")
    eta: Real = Field(default=0.0, ge=0, le=1, description=ETA)
    denoise_to_zero: bool = Field(default=True, description="true or false")

    def counted(self, steps: int) -> tuple[Sampler, int]:
        """Of `steps` calls: the steps that they are, and the one to 0."""
        return replace(self, calls=steps, denoise_to_zero=False), steps // 3 + 2

    def infotext(self) -> dict[str, str]:
        spent = {"Steps": f"{self.calls}"} if self.calls and not self.denoise_to_zero else {}
        return {"Eta": f"{self.eta:g}", **spent}

    def init(self, x: Tensor, times: Tensor) -> State:
        return _Left(int((times[1:] > 0).sum()), last_knot(times))

    def step(self, denoise: Denoise, x: Tensor, t: Tensor, s: Tensor, state: State, noise: NoiseSource) -> Moved:
        order, state = state.order(TAILS[self.calls % 3]), _Left(state.steps - 1, state.last)
        k = Knots.of(denoise.schedule, t, s)
        if k.sigma_s == 0 and not self.denoise_to_zero:
            return x * (k.alpha_s / k.alpha_t), state
        flow, here = KappaFlow(denoise, t, s), denoise(x, t)
        if flow.straight:
            return ddim(here, k), state
        a, b = (torch.tensor(kappa, dtype=torch.float64) for kappa in (flow.begin, flow.end))
        last = kappa_at(denoise.schedule, state.last)
        below, new = lowered(a, b, self.eta, last)
        y = first(here, below) if order == 1 else embedded(flow, here, a, below, order)[1]
        if new > 0:
            y = y + expand(new, y) * noise(x)
        return k.alpha_s * y, state
