"""Equal steps in the angle of a trigonometric flow."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pydantic import Field

from sfumato.element import Real, element
from sfumato.lazy import torch
from sfumato.times.time_grid import TimeGrid

if TYPE_CHECKING:
    from torch import Tensor

    from sfumato.schedule import Schedule


@element("angle")
class AngleGrid(TimeGrid):
    """Equal steps in the angle arctan(sigma/alpha), from pi/2 for pure noise to 0 (Lu & Song 2024, "Simplifying,
    Stabilizing and Scaling Continuous-Time Consistency Models").

    middle: the angle between two steps, where they begin above it, as Sana-Sprint is walked (Chen et al. 2025); 0
    leaves it half way.
    """

    middle: Real = Field(default=0.0, ge=0, lt=1.57, description="the angle between two steps, or 0 for half way")

    def knots(self, steps: int, schedule: Schedule, start: float) -> Tensor:
        alpha, sigma = schedule(start)
        first = float(torch.atan2(sigma, alpha))
        angles = first * (1 - torch.arange(steps + 1, dtype=torch.float64) / steps)
        if steps == 2 and 0 < self.middle < first:
            angles[1] = self.middle
        inner = schedule.time(angles[1:steps].clamp(max=math.pi / 2 - 1e-9).tan())
        ends = torch.tensor([start, 0.0], dtype=torch.float64)
        return torch.cat([ends[:1], inner, ends[1:]])
