"""Align Your Steps: Sabour et al. 2024."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from sfumato.element import element
from sfumato.lazy import torch
from sfumato.times.knots import from_strength
from sfumato.times.time_grid import TimeGrid, at_kappas

if TYPE_CHECKING:
    from torch import Tensor

    from sfumato.schedule import Schedule

LEVELS = {
    "sd1": (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029),
    "sdxl": (14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029),
}
"""kappa = sigma/alpha at the eleven knots of ten steps, as the authors publish them."""


@element(
    "align-your-steps",
    label={"align-your-steps-a1111": "Align Your Steps"},
    presets={
        "align-your-steps-xl": {"model": "sdxl"},
        "align-your-steps-a1111": {"last": True},
        "align-your-steps-a1111-xl": {"model": "sdxl", "last": True},
    },
)
class AlignYourStepsGrid(TimeGrid):
    """Noise levels that were optimised for ten steps of Stable Diffusion 1.5 or SDXL, in between log-linearly.

    Sabour et al. 2024, "Align Your Steps": those of n + 1 knots on the polygon through log kappa of the published
    levels, kappa = sigma/alpha, the last of which becomes 0. last=True takes n of them and 0 behind: A1111's. They
    were found for the noise of these models (kappa up to 14.6); on another schedule they are the same kappa.
    """

    model: Literal["sd1", "sdxl"] = Field(default="sd1", description="sd1 or sdxl")
    last: bool = Field(default=False, description="true where the last level is a knot, false where 0 stands for it")

    def knots(self, steps: int, schedule: Schedule, start: float) -> Tensor:
        import numpy as np

        levels = np.log(LEVELS[self.model])
        count = steps if self.last else steps + 1
        shares = np.linspace(0, 1, count) if count > 1 else np.zeros(1)
        kappas = np.exp(np.interp(shares, np.linspace(0, 1, len(levels)), levels))[:steps]
        times = at_kappas(torch.from_numpy(kappas), schedule, 1.0)
        return from_strength(times, start) if start < 1 else times
