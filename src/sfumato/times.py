"""Time grids: the knots a sampler visits, float64, from t = 1 (or a given start) down to exactly 0.

A grid of n steps has n + 1 knots. Index i of a discrete table of N stands at t = (i + 1)/N. "leading" and "trailing"
are diffusers' spacings; like every grid here they end at 0, where stock DDIM with `set_alpha_to_one=False` stops at
t = 1/N.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from sfumato.picture import BadInput
from sfumato.schedule import Schedule


class Grid(Protocol):
    """Builds the knots of `steps` steps over [start, 0]."""

    def __call__(self, steps: int, schedule: Schedule, start: float = 1.0) -> Tensor: ...


def uniform(steps: int, schedule: Schedule, start: float = 1.0) -> Tensor:
    """Equal steps in t: start (1 - i/steps)."""
    return start * (1 - torch.arange(steps + 1, dtype=torch.float64) / steps)


def leading(steps: int, schedule: Schedule, start: float = 1.0, *, offset: int = 1) -> Tensor:
    """diffusers' "leading": indices offset + k floor(N/steps), so that the first knot lies below t = 1.

    Stable Diffusion's default (`steps_offset=1`). Its first knot, about 0.95 at 20 steps, begins from noise of that
    time's size (see `NoiseStart`).
    """
    count = _count(schedule)
    if steps > count:
        raise BadInput(f"The leading grid has at most {count} steps, not {steps}: choose another grid or fewer steps.")
    stride = count // steps
    offset = min(offset, count - 1 - (steps - 1) * stride)
    times = from_indices(torch.arange(steps - 1, -1, -1) * stride + offset, count)
    return from_strength(times, start) if start < 1 else times


def trailing(steps: int, schedule: Schedule, start: float = 1.0) -> Tensor:
    """diffusers' "trailing": indices round(N - k N/steps) - 1, from t = 1 down to N/steps above the end."""
    count = _count(schedule)
    if steps > count:
        raise BadInput(f"The trailing grid has at most {count} steps, not {steps}: choose another or fewer steps.")
    indices = (count - torch.arange(steps, dtype=torch.float64) * count / steps).round() - 1
    times = from_indices(indices, count)
    return from_strength(times, start) if start < 1 else times


def karras(steps: int, schedule: Schedule, start: float = 1.0, *, rho: float = 7.0) -> Tensor:
    """Equal steps in kappa^(1/rho), then 0: Karras et al. 2022, eq. 5, from kappa(start) to kappa(schedule.last)."""
    return _in_kappa(steps, schedule, start, lambda kappa: kappa ** (1 / rho), lambda root: root**rho)


def log_snr(steps: int, schedule: Schedule, start: float = 1.0) -> Tensor:
    """Equal steps in log(alpha/sigma), then 0: Lu et al. 2022, section 4.1 (DPM-Solver's uniform logSNR)."""
    return _in_kappa(steps, schedule, start, torch.log, torch.exp)


GRIDS: dict[str, Grid] = {
    "uniform": uniform,
    "leading": leading,
    "trailing": trailing,
    "karras": karras,
    "log-snr": log_snr,
}


def grid(name: str, steps: int, schedule: Schedule, start: float = 1.0) -> Tensor:
    """The grid of that name: (steps + 1,) float64 knots from `start` (0 < start <= 1) to exactly 0, falling.

    start = 0 gives the single knot [0]: nothing to do. "leading" with start = 1 begins below 1, as in diffusers.

    Raises BadInput for an unknown name, fewer than one step, or a start outside [0, 1].
    """
    if name not in GRIDS:
        raise BadInput(f"Unknown time grid {name!r}: choose one of {', '.join(GRIDS)}.")
    if isinstance(steps, bool) or int(steps) != steps or steps < 1:
        raise BadInput(f"The number of steps must be a whole number of at least 1, not {steps}.")
    _check_time(start)
    if start == 0:
        return torch.zeros(1, dtype=torch.float64)
    return GRIDS[name](int(steps), schedule, float(start))


def from_indices(indices: Sequence[int] | Tensor, count: int) -> Tensor:
    """The knots of a scheduler's list of indices into a table of `count`, then 0: t = (i + 1)/count."""
    indices = torch.as_tensor(indices, dtype=torch.float64)
    return torch.cat([(indices + 1) / count, torch.zeros(1, dtype=torch.float64)])


def from_strength(times: Tensor, strength: float) -> Tensor:
    """The same grid rebuilt over [strength, 0]: as many steps, begun exactly at t0 = strength.

    The knots keep their proportions in t. Cutting the grid instead, and beginning at the knot next to t0, either
    changes what strength means or leaves a first step of a hair's width, which multistep solvers blow up.
    strength = 0 gives the single knot [0].
    """
    _check_time(strength)
    if strength == 0:
        return torch.zeros(1, dtype=torch.float64)
    rebuilt = times.double() * (strength / float(times[0]))
    rebuilt[0] = strength
    return rebuilt


def jumps(times: Tensor, length: int = 10, repeats: int = 10) -> Tensor:
    """RePaint's resampling as a grid (Lugmayr et al. 2022, section 4.2): every `length` steps down, go back up.

    Each stretch of `length` steps is walked `repeats` times; between two walks the grid *rises* to the stretch's
    first knot, where the loop adds noise again. The first stretch, whose beginning is all noise, and a shorter last
    one are walked once, as in the paper's code. repeats = 1 is the plain grid.
    """
    if length < 1 or repeats < 1:
        raise BadInput("RePaint's jumps need a length of at least 1 and at least 1 repeat.")
    knots = [times[:1]]
    for begin in range(0, len(times) - 1, length):
        stretch = times[begin : begin + length + 1]
        knots.append(stretch[1:])
        if begin > 0 and len(stretch) == length + 1:
            knots += [stretch] * (repeats - 1)
    return torch.cat(knots)


def _in_kappa(
    steps: int,
    schedule: Schedule,
    start: float,
    warp: Callable[[Tensor], Tensor],
    unwarp: Callable[[Tensor], Tensor],
) -> Tensor:
    """n knots equally spaced in warp(kappa) between start and schedule.last, then 0; start itself is kept exact."""
    first = start
    if schedule(1.0)[0] == 0:  # kappa is infinite there, and huge beside it: the grid is spaced from a hair below
        first = min(start, 1 - schedule.last)
    alpha, sigma = schedule(torch.tensor([first, min(schedule.last, first / 2)], dtype=torch.float64))
    high, low = warp(sigma / alpha)
    weights = torch.arange(steps, dtype=torch.float64) / max(steps - 1, 1)
    knots = schedule.time(unwarp(high + weights * (low - high)))
    knots[0] = start
    return torch.cat([knots, torch.zeros(1, dtype=torch.float64)])


def _count(schedule: Schedule) -> int:
    return getattr(schedule, "count", 1000)


def _check_time(t: float) -> None:
    if not 0 <= t <= 1:
        raise BadInput(f"A time or strength lies between 0 (clean) and 1 (noise), not {t}.")
