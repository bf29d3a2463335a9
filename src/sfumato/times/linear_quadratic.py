"""Short equal steps, then ever longer ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from sfumato.element import Real, element
from sfumato.lazy import torch
from sfumato.times.time_grid import TimeGrid, at_kappas, ends_in_kappa

if TYPE_CHECKING:
    from torch import Tensor

    from sfumato.schedule import Schedule


@element("linear-quadratic", presets={"linear-quadratic-kappa": {"of": "kappa"}})
class LinearQuadraticGrid(TimeGrid):
    """The first half of the steps are equal and cover the noisiest `share`; those of the second half grow.

    Of n steps and m = floor(n/2), on a line from 1 (noise) to 0:

        u_k = 1 - share k/m                          for k <= m
        u_k = 1 - share k/m - c (k - m)^2            behind that, c = (1 - share n/m)/(n - m)^2,

    which joins without a bend and ends at 0. So the steps are those that many small ones would begin with, where a
    picture is laid out (Polyak et al. 2024, "Movie Gen"); ComfyUI's "linear_quadratic". u is a share of tau =
    sigma/(alpha + sigma), the noise level of flow matching, or of kappa = sigma/alpha, as ComfyUI has it for models of
    other kinds.
    """

    share: Real = Field(default=0.025, gt=0, le=0.5, description="a number above 0 and up to 0.5")
    of: Literal["tau", "kappa"] = Field(default="tau", description="tau or kappa")

    def knots(self, steps: int, schedule: Schedule, start: float) -> Tensor:
        few = max(steps // 2, 1)
        k = torch.arange(steps, dtype=torch.float64)
        bend = (1 - self.share * steps / few) / max(steps - few, 1) ** 2
        levels = 1 - self.share * k / few - bend * (k - few).clamp(min=0) ** 2
        if self.of == "kappa":
            return at_kappas(levels * ends_in_kappa(schedule, start)[0], schedule, start)
        alpha, sigma = schedule(torch.tensor(start, dtype=torch.float64))
        taus = levels * sigma / (alpha + sigma)
        return at_kappas(taus / (1 - taus), schedule, start)
