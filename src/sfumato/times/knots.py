"""What is done with a grid's knots."""

from __future__ import annotations

from collections.abc import Sequence

from sfumato.lazy import Tensor, torch
from sfumato.picture.errors import BadInput
from sfumato.times.time_grid import check_time


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

    Anchored at the clean end as in the paper's code: with n steps, the knots 1, 1 + length, 1 + 2 length, ... above the
    end, as long as there are `length` more above, are reached `repeats` times; between two times the grid *rises*
    by `length` steps, where the loop adds noise again. The last step, and what is left at the noisy end, are walked
    once: of 25 steps with length 10 those from knot 21 down to 1 are repeated. repeats = 1 is the plain grid.

    Raises BadInput where there are too few steps for a single jump.
    """
    if length < 1 or repeats < 1:
        raise BadInput("RePaint's jumps need a length of at least 1 and at least 1 repeat.")
    steps = len(times) - 1
    if repeats == 1 or steps == 0:
        return times
    if steps <= length:
        raise BadInput(f"RePaint's jumps of {length} steps need more than {length} steps, not {steps}: shorten them.")
    knots = []
    for i in range(steps + 1):
        knots.append(times[i : i + 1])
        if i >= length and (steps - 1 - i) % length == 0 and i < steps:
            knots += [times[i - length : i + 1]] * (repeats - 1)
    return torch.cat(knots)
