"""DPM-Solver's grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sfumato.element import element
from sfumato.lazy import torch
from sfumato.times.time_grid import TimeGrid, in_kappa

if TYPE_CHECKING:
    from torch import Tensor

    from sfumato.schedule import Schedule


@element("log-snr", label="Exponential")
class LogSNRGrid(TimeGrid):
    """Equal steps in log(alpha/sigma), then 0: Lu et al. 2022, section 4.1 (DPM-Solver's uniform logSNR)."""

    def knots(self, steps: int, schedule: Schedule, start: float) -> Tensor:
        return in_kappa(steps, schedule, start, torch.log, torch.exp)
