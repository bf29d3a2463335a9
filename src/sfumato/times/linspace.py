"""k-diffusion's grid over a table's indices."""

from __future__ import annotations

from pydantic import Field

from sfumato.element import element
from sfumato.lazy import Tensor, torch
from sfumato.schedule import Schedule
from sfumato.times.knots import from_indices, from_strength
from sfumato.times.time_grid import TimeGrid, count_of


@element(
    "linspace",
    label={"linspace": "Uniform", "sgm-uniform": "SGM Uniform"},
    presets={"sgm-uniform": {"ends": False}},
)
class LinspaceGrid(TimeGrid):
    """Indices (N - 1)(1 - k/(steps - 1)) of a table of N, from the last to the first, then 0: k-diffusion's
    `get_sigmas`, A1111's "Uniform", ComfyUI's "normal", diffusers' "linspace".

    ends=False divides by `steps`, so that the first index itself is no knot: "SGM Uniform".
    """

    ends: bool = Field(default=True, description="true where the table's first index is a knot, else false")

    def knots(self, steps: int, schedule: Schedule, start: float) -> Tensor:
        count = count_of(schedule)
        parts = max(steps - 1, 1) if self.ends else steps
        times = from_indices((count - 1) * (1 - torch.arange(steps, dtype=torch.float64) / parts), count)
        return from_strength(times, start) if start < 1 else times
