"""A grid without its last knot but one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sfumato.element import element
from sfumato.lazy import torch
from sfumato.times.karras import KarrasGrid
from sfumato.times.time_grid import TimeGrid

if TYPE_CHECKING:
    from torch import Tensor

    from sfumato.schedule import Schedule


@element("discard-penultimate")
class DiscardPenultimateGrid(TimeGrid):
    """`grid` of one step more without its last knot but one, so that the last step is a longer one.

    A1111 does so with DPM2, DPM2 a and DPM++ 3M SDE ("discard next-to-last sigma"), ComfyUI with DPM2 and UniPC.
    """

    grid: TimeGrid = KarrasGrid()

    @property
    def rises(self) -> bool:  # type: ignore[override]
        return bool(self.grid.rises)

    def knots(self, steps: int, schedule: Schedule, start: float) -> Tensor:
        knots = self.grid(steps + 1, schedule, start)
        return torch.cat([knots[:-2], knots[-1:]])
