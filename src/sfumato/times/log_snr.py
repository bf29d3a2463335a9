"""DPM-Solver's grid."""

from __future__ import annotations

from sfumato.element import element
from sfumato.lazy import Tensor, torch
from sfumato.schedule import Schedule
from sfumato.times.time_grid import TimeGrid, in_kappa


@element("log-snr", label="Exponential")
class LogSNRGrid(TimeGrid):
    """Equal steps in log(alpha/sigma), then 0: Lu et al. 2022, section 4.1 (DPM-Solver's uniform logSNR).

    Solvers of high order take them best, for their error is in powers of a step in log(alpha/sigma). The last knot
    before 0 is `schedule.last`, where the signal-to-noise ratio is still finite.
    """

    def knots(self, steps: int, schedule: Schedule, start: float) -> Tensor:
        return in_kappa(steps, schedule, start, torch.log, torch.exp)
