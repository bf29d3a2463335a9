"""Any grid, shifted as flow matching shifts its noise levels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from sfumato.element import Real, Whole, element
from sfumato.lazy import torch
from sfumato.schedule.flow import Flow
from sfumato.times.time_grid import TimeGrid
from sfumato.times.uniform import UniformGrid

if TYPE_CHECKING:
    from torch import Tensor

    from sfumato.schedule import Schedule


@element("shifted")
class ShiftedGrid(TimeGrid):
    """The knots of `grid` on the straight line of flow matching with this `shift`, whatever shift the model has:

        tau = sigma/(alpha + sigma) = shift u/(1 + (shift - 1) u),   u a knot of `grid` between 0 and 1

    Esser et al. 2024, eq. 23. The larger the shift, the more steps are spent where there is much noise, which large
    pictures need and students of few steps are trained for. 1 is equal noise levels; Stable Diffusion 3 takes 3, FLUX.1
    exp(mu) with mu from 0.5 to 1.15 by the size of the picture. ComfyUI sets it with ModelSamplingSD3, -AuraFlow and
    -Flux (there mu), Forge with "Shift".

    table: how many indices a grid has that is made of indices: 1000, and 10000 of ComfyUI's FLUX. of: what a grid of
    noise levels (karras, log-snr, kl-optimal) takes for its kappa: sigma/alpha, or tau itself down to that of the
    table's first index, as ComfyUI does with all that it knows.
    """

    shift: Real = Field(default=3.0, gt=0, le=1000, description="a number above 0 and up to 1000, 1 for equal steps")
    grid: TimeGrid = UniformGrid()
    table: Whole = Field(default=1000, ge=1, le=100_000, description="a whole number from 1 to 100000")
    of: Literal["kappa", "tau"] = Field(default="kappa", description="kappa or tau")

    @property
    def rises(self) -> bool:  # type: ignore[override]
        return bool(self.grid.rises)

    def knots(self, steps: int, schedule: Schedule, start: float) -> Tensor:
        line = _Line(self.shift, count=self.table) if self.of == "kappa" else _Levels(self.shift, self.table)
        alpha, sigma = schedule(torch.tensor(start, dtype=torch.float64))
        begin = 1.0 if alpha == 0 else float(Flow(self.shift).time(sigma / alpha))
        knots = self.grid(steps, line, begin)
        alpha, sigma = Flow(self.shift)(knots)
        times = schedule.time(sigma / alpha)
        if knots[0] == begin:
            times[0] = start
        times[-1] = 0.0
        return times


@dataclass(frozen=True)
class _Line(Flow):
    """A `Flow` of a table."""

    count: int = 1000


@dataclass(frozen=True)
class _Levels:
    """The same noise levels without a signal that falls, alpha = 1 and sigma = tau, so that kappa is tau."""

    shift: float
    count: int

    @property
    def last(self) -> float:
        return 1 / self.count

    def __call__(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        alpha, sigma = Flow(self.shift)(t)
        return torch.ones_like(alpha), sigma

    def time(self, kappa: Tensor | float) -> Tensor:
        tau = torch.as_tensor(kappa, dtype=torch.float64)
        return Flow(self.shift).time(tau / (1 - tau))
