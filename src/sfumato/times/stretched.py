"""Equal steps in t, stretched to end at a given sigma."""

from __future__ import annotations

from pydantic import Field

from sfumato.element import Real, element
from sfumato.lazy import Tensor, torch
from sfumato.schedule import Schedule
from sfumato.times.time_grid import TimeGrid


@element("stretched")
class StretchedGrid(TimeGrid):
    """Equal steps in t, then tau = sigma/(alpha + sigma) stretched so that the last knot before 0 stands at `terminal`:

        tau_i <- tau_0 - (tau_0 - tau_i) (tau_0 - terminal)/(tau_0 - tau_(n-1))

    For flow matching tau is sigma, and this is what diffusers' `shift_terminal` does (LTX-Video, Qwen-Image). A grid
    that begins below twice `terminal` is stretched to half of its beginning; one of a single step stays as it is.
    """

    terminal: Real = Field(default=0.02, gt=0, lt=1, description="a sigma between 0 and 1")

    def knots(self, steps: int, schedule: Schedule, start: float) -> Tensor:
        t = start * (1 - torch.arange(steps + 1, dtype=torch.float64) / steps)
        alpha, sigma = schedule(t)
        tau = sigma / (alpha + sigma)
        first, last = tau[0], tau[steps - 1]
        if steps == 1:
            return t
        end = (first / 2).clamp(max=self.terminal)
        tau = first - (first - tau[1:steps]) * (first - end) / (first - last)
        return torch.cat([t[:1], schedule.time(tau / (1 - tau)), t[-1:]])
