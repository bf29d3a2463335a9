"""diffusers' "leading" spacing."""

from __future__ import annotations

from pydantic import Field

from sfumato.element import Whole, element
from sfumato.lazy import Tensor, torch
from sfumato.picture.errors import BadInput
from sfumato.schedule import Schedule
from sfumato.times.knots import from_indices, from_strength
from sfumato.times.time_grid import TimeGrid, count_of


@element("leading", label="DDIM")
class LeadingGrid(TimeGrid):
    """Indices offset + k stride of a table of N, so that the first knot lies below t = 1.

    Stable Diffusion's default (diffusers' `steps_offset=1`). Its first knot, about 0.95 at 20 steps, begins from noise
    of that time's size (see `NoiseStart`). The stride is floor(N/steps) where none is given. A1111's web page and
    ComfyUI take the stride of the steps that are asked for and then all indices that there are, so that 30 steps are
    31 of stride 33: `reaching(30)`.
    """

    offset: Whole = Field(default=1, ge=0, le=1000, description="a whole number from 0 to 1000")
    stride: Whole | None = Field(
        default=None, ge=1, le=100_000, description="a whole number from 1 to 100000, or nothing for N/steps"
    )

    @classmethod
    def reaching(cls, asked: int, count: int = 1000) -> tuple[LeadingGrid, int]:
        """The grid of stride floor(count/asked) over all of the table, and how many steps those are."""
        stride = max(count // asked, 1)
        steps = len(range(1, count, stride))
        return cls(stride=None if count // steps == stride else stride), steps

    def knots(self, steps: int, schedule: Schedule, start: float) -> Tensor:
        count = count_of(schedule)
        most = len(range(0, count, self.stride or 1))
        if steps > most:
            raise BadInput(
                f"The leading grid has at most {most} steps, not {steps}: choose another grid or fewer steps."
            )
        stride = self.stride or count // steps
        offset = min(self.offset, count - 1 - (steps - 1) * stride)
        times = from_indices(torch.arange(steps - 1, -1, -1) * stride + offset, count)
        return from_strength(times, start) if start < 1 else times

    def infotext(self) -> dict[str, str]:
        return {} if self.stride is None else {"Steps": f"{max(1000 // self.stride, 1)}"}
