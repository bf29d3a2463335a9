"""Equal steps in t."""

from __future__ import annotations

from sfumato.element import element
from sfumato.lazy import Tensor, torch
from sfumato.schedule import Schedule
from sfumato.times.time_grid import TimeGrid


@element("uniform")
class UniformGrid(TimeGrid):
    """Equal steps in t: start (1 - i/steps).

    Where a schedule depends on the number of steps (`FlowBySteps`) they are equal in the t of the schedule of so many.
    """

    def knots(self, steps: int, schedule: Schedule, start: float) -> Tensor:
        shares = 1 - torch.arange(steps + 1, dtype=torch.float64) / steps
        at_steps = getattr(schedule, "at_steps", None)
        if at_steps is None:
            return start * shares
        own, (alpha, sigma) = at_steps(steps), schedule(start)
        alpha, sigma = own(own.time(sigma / alpha) * shares)
        knots = schedule.time(sigma / alpha)
        knots[0] = start
        return knots
