"""Equal steps in t."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sfumato.element import element
from sfumato.lazy import torch
from sfumato.times.time_grid import TimeGrid

if TYPE_CHECKING:
    from torch import Tensor

    from sfumato.schedule import Schedule


@element("uniform")
class UniformGrid(TimeGrid):
    """Equal steps in t: start (1 - i/steps)."""

    def knots(self, steps: int, schedule: Schedule, start: float) -> Tensor:
        return start * (1 - torch.arange(steps + 1, dtype=torch.float64) / steps)
