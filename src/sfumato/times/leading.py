"""diffusers' "leading" spacing."""

from __future__ import annotations

from pydantic import Field

from sfumato.element import Whole, element
from sfumato.lazy import Tensor, torch
from sfumato.picture.errors import BadInput
from sfumato.schedule import Schedule
from sfumato.times.knots import from_indices, from_strength
from sfumato.times.time_grid import TimeGrid, count_of


@element("leading")
class LeadingGrid(TimeGrid):
    """Indices offset + k floor(N/steps), so that the first knot lies below t = 1.

    Stable Diffusion's default (diffusers' `steps_offset=1`). Its first knot, about 0.95 at 20 steps, begins from noise
    of that time's size (see `NoiseStart`).
    """

    offset: Whole = Field(default=1, ge=0, le=1000, description="a whole number from 0 to 1000")

    def knots(self, steps: int, schedule: Schedule, start: float) -> Tensor:
        count = count_of(schedule)
        if steps > count:
            raise BadInput(
                f"The leading grid has at most {count} steps, not {steps}: choose another grid or fewer steps."
            )
        stride = count // steps
        offset = min(self.offset, count - 1 - (steps - 1) * stride)
        times = from_indices(torch.arange(steps - 1, -1, -1) * stride + offset, count)
        return from_strength(times, start) if start < 1 else times
