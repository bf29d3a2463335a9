"""diffusers' "trailing" spacing."""

from __future__ import annotations

from pydantic import Field

from sfumato.element import element
from sfumato.lazy import Tensor, torch
from sfumato.picture.errors import BadInput
from sfumato.schedule import Schedule
from sfumato.times.knots import from_indices, from_strength
from sfumato.times.time_grid import TimeGrid, count_of


@element("trailing", label={"simple": "Simple"}, presets={"simple": {"up": True}})
class TrailingGrid(TimeGrid):
    """Indices round(N - k N/steps) - 1, from t = 1 down to N/steps above the end.

    Lin et al. 2024, table 2: it begins at pure noise, as training did, where the older spacings begin a little below
    and leave pictures a little grey. Distilled models of few steps want it. up=True rounds up, to N - 1 - floor(k
    N/steps): A1111's and ComfyUI's "simple".
    """

    up: bool = Field(default=False, description="true to round indices up, false for the nearest ones")

    def knots(self, steps: int, schedule: Schedule, start: float) -> Tensor:
        count = count_of(schedule)
        if steps > count:
            raise BadInput(f"The trailing grid has at most {count} steps, not {steps}: choose another or fewer steps.")
        whole = torch.arange(steps, dtype=torch.float64)
        if self.up:  # in floats, as they have it: 38 steps of a table of 1000 come to index 500 where it would be 499
            indices = count - (whole * (count / steps)).floor()
        else:
            indices = (count - whole * count / steps).round()
        times = from_indices(indices - 1, count)
        return from_strength(times, start) if start < 1 else times
