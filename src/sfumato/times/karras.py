"""Karras et al.'s grid."""

from __future__ import annotations

from pydantic import Field

from sfumato.element import Real, element
from sfumato.lazy import Tensor
from sfumato.schedule import Schedule
from sfumato.times.time_grid import TimeGrid, in_kappa

RHO = 7.0


@element("karras", label="Karras")
class KarrasGrid(TimeGrid):
    """Equal steps in kappa^(1/rho), then 0: Karras et al. 2022, eq. 5, from kappa(start) to kappa(schedule.last).

    kappa is sigma/alpha. The larger rho, the shorter the steps near the end, where detail is made; 7 is the paper's,
    1 is equal steps in kappa.
    """

    rho: Real = Field(default=RHO, gt=0, le=100, description="a number above 0 and up to 100")

    def knots(self, steps: int, schedule: Schedule, start: float) -> Tensor:
        rho = self.rho
        return in_kappa(steps, schedule, start, lambda kappa: kappa ** (1 / rho), lambda root: root**rho)

    def infotext(self) -> dict[str, str]:
        return {"Schedule rho": f"{self.rho:g}"} if self.rho != RHO else {}
