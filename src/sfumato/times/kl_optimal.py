"""Equal steps in arctan(sigma/alpha) down to the last noise level."""

from __future__ import annotations

from pydantic import Field

from sfumato.element import element
from sfumato.lazy import Tensor, torch
from sfumato.schedule import Schedule
from sfumato.times.discard_penultimate import DiscardPenultimateGrid
from sfumato.times.time_grid import TimeGrid, in_kappa


@element("kl-optimal", label={"kl-optimal-a1111": "KL Optimal"}, presets={"kl-optimal-a1111": {"least": False}})
class KLOptimalGrid(TimeGrid):
    """Equal steps in arctan(kappa), kappa = sigma/alpha, from kappa(start) to kappa(schedule.last), then 0.

    Of data that are one Gaussian of variance 1 these are the knots at which the samples' divergence from the data is
    least (Sabour et al. 2024, "Align Your Steps", theorem 3.1); ComfyUI's "kl_optimal". `AngleGrid` goes on to 0.

    least=False: of a step more, without the least level, as A1111's "KL Optimal", which stops at that level.
    """

    least: bool = Field(default=True, description="true where the least noise level is a knot, else false")

    def knots(self, steps: int, schedule: Schedule, start: float) -> Tensor:
        if self.least:
            return in_kappa(steps, schedule, start, torch.atan, torch.tan)
        return DiscardPenultimateGrid(KLOptimalGrid()).knots(steps, schedule, start)
