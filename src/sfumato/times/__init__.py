"""Time grids: the knots a sampler visits, float64, from t = 1 (or a given start) down to exactly 0.

A grid of n steps has n + 1 knots. Index i of a discrete table of N stands at t = (i + 1)/N. "leading" and "trailing"
are diffusers' spacings; like every grid here they end at 0, where stock DDIM with `set_alpha_to_one=False` stops at
t = 1/N.
"""

from __future__ import annotations

from sfumato.element.define import renewing
from sfumato.lazy import Tensor
from sfumato.schedule import Schedule
from sfumato.times.align_your_steps import AlignYourStepsGrid
from sfumato.times.angle import AngleGrid
from sfumato.times.beta import BetaGrid
from sfumato.times.discard_penultimate import DiscardPenultimateGrid
from sfumato.times.karras import KarrasGrid
from sfumato.times.kl_optimal import KLOptimalGrid
from sfumato.times.knots import from_indices, from_strength, jumps
from sfumato.times.leading import LeadingGrid
from sfumato.times.linear_quadratic import LinearQuadraticGrid
from sfumato.times.linspace import LinspaceGrid
from sfumato.times.log_snr import LogSNRGrid
from sfumato.times.restart import RestartGrid
from sfumato.times.shifted import ShiftedGrid
from sfumato.times.stretched import StretchedGrid
from sfumato.times.time_grid import TimeGrid
from sfumato.times.trailing import TrailingGrid
from sfumato.times.uniform import UniformGrid

__all__ = [
    "DEFAULT_GRID",
    "AlignYourStepsGrid",
    "AngleGrid",
    "BetaGrid",
    "DiscardPenultimateGrid",
    "KLOptimalGrid",
    "KarrasGrid",
    "LeadingGrid",
    "LinearQuadraticGrid",
    "LinspaceGrid",
    "LogSNRGrid",
    "RestartGrid",
    "ShiftedGrid",
    "StretchedGrid",
    "TimeGrid",
    "TrailingGrid",
    "UniformGrid",
    "from_indices",
    "from_strength",
    "grid",
    "jumps",
]

DEFAULT_GRID = UniformGrid()
for made in (DiscardPenultimateGrid, RestartGrid, ShiftedGrid):  # which take any of them
    renewing(made)


def grid(name: str | TimeGrid, steps: int, schedule: Schedule, start: float = 1.0) -> Tensor:
    """The knots of a time grid, given by name or as an element: see `TimeGrid`. Raises BadInput for an unknown name."""
    return (TimeGrid.registry.named(name) if isinstance(name, str) else name)(steps, schedule, start)
