"""Restart sampling: a grid that goes back up over its middle levels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from sfumato.element import Real, Whole, element
from sfumato.lazy import torch
from sfumato.picture.errors import BadInput
from sfumato.times.karras import KarrasGrid
from sfumato.times.time_grid import TimeGrid

if TYPE_CHECKING:
    from torch import Tensor

    from sfumato.schedule import Schedule

FEW, MANY = 20, 36
_KAPPA = "a noise level sigma/alpha above 0 and up to 1000"


@element("restart")
class RestartGrid(TimeGrid):
    """Restart: once down at `low`, noise is added up to `high` and the way down is walked anew, `repeats` times.

    Xu et al. 2023, "Restart Sampling for Improving Generative Processes", algorithm 1: the noise washes out what
    earlier steps got wrong, and short deterministic steps make little new error, so that in the paper it beats both
    ways of sampling at equal steps. Meant for `heun` and other solvers of ordinary differential equations.

    low, high: of kappa = sigma/alpha, as EDM and A1111 count noise; the knots of `grid` that are next to them.
    again: the steps of one repetition, in kappa^(1/7) (Karras et al. 2022). Where it is 0, A1111's rule: of fewer than
    20 steps nothing is repeated, of fewer than 36 nine once, else a quarter of all twice.
    All repetitions together are taken off `steps`: so many are walked down. The grid *rises* before each of them.
    """

    low: Real = Field(default=0.1, gt=0, le=1000, description=_KAPPA)
    high: Real = Field(default=2.0, gt=0, le=1000, description=_KAPPA)
    again: Whole = Field(default=0, ge=0, le=1000, description="a whole number of steps, or 0 for A1111's rule")
    repeats: Whole = Field(default=1, ge=1, le=100, description="a whole number from 1 to 100")
    grid: TimeGrid = KarrasGrid()

    rises = True

    def knots(self, steps: int, schedule: Schedule, start: float) -> Tensor:
        again, repeats = self._shared_out(steps)
        if again * repeats >= steps:
            raise BadInput(f"Restart repeats {again} steps {repeats} times and has {steps} in all: give it more steps.")
        knots = self.grid(steps - again * repeats, schedule, start)
        alpha, sigma = schedule(knots[:-1])
        kappa = sigma / alpha
        top, bottom = int((kappa - self.high).abs().argmin()), int((kappa - self.low).abs().argmin())
        if again == 0 or top >= bottom:
            return knots if again == 0 else self.grid(steps, schedule, start)
        roots = kappa[[top, bottom]] ** (1 / 7)
        share = torch.arange(again + 1, dtype=torch.float64) / again
        way = schedule.time((roots[0] + share * (roots[1] - roots[0])) ** 7)
        way[0], way[-1] = knots[top], knots[bottom]
        return torch.cat([knots[: bottom + 1], *([way] * repeats), knots[bottom + 1 :]])

    def _shared_out(self, steps: int) -> tuple[int, int]:
        """The steps of a repetition, and how many there are."""
        if self.again:
            return self.again, self.repeats
        if steps < FEW:
            return 0, 1
        return (9, 1) if steps < MANY else (steps // 4, 2)
