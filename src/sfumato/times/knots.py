"""What is done with a grid's knots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sfumato.lazy import torch
from sfumato.picture.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor


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
    check_time(strength)
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


def check_time(t: float) -> None:
    """Raises BadInput for a time or a strength outside [0, 1]."""
    if not 0 <= t <= 1:
        raise BadInput(f"A time or strength lies between 0 (clean) and 1 (noise), not {t}.")
