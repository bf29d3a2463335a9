"""Starts: where the trajectory begins, and the grid that begins there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from sfumato.noise import NoiseSource
from sfumato.picture import BadInput
from sfumato.sample.step import Denoise
from sfumato.schedule import noised
from sfumato.times import from_strength

Times = Tensor | Callable[[float], Tensor]
"""A grid, or a function that builds it over [start, 0], such as `lambda start: grid("karras", 20, schedule, start)`.

A bare grid is rebuilt for a strength by stretching it in t; the function rebuilds it by its own rule.
"""


def rebuilt(times: Times, strength: float) -> Tensor:
    """The grid over [strength, 0]; the single knot [0] at strength 0. Raises BadInput unless 0 <= strength <= 1."""
    if not 0 <= strength <= 1:
        raise BadInput(f"A strength lies between 0 (unchanged) and 1 (all noise), not {strength}.")
    if strength == 0:
        return torch.zeros(1, dtype=torch.float64)
    return from_strength(times, strength) if isinstance(times, Tensor) else times(strength)


class Start(Protocol):
    """Returns x (B, ...) and the grid that begins where x is."""

    def __call__(self, denoise: Denoise, times: Times, noise: NoiseSource) -> tuple[Tensor, Tensor]: ...


@runtime_checkable
class Preparing(Protocol):
    """A start or a hold that calls the network before the first step: such as an inversion.

    `prepare` does it, and yields once a call, `calls` times: progress and interruption belong to whoever iterates.
    """

    calls: int

    def prepare(self) -> Iterator[None]: ...


@dataclass(frozen=True, eq=False)
class NoiseStart:
    """Pure noise in the shape, dtype and device of `like` (B, ...): x = sqrt(alpha^2 + sigma^2) z at the first knot.

    That is z for a variance-preserving schedule, also where a leading grid begins below t = 1, as stock diffusers
    has it.
    """

    like: Tensor

    def __call__(self, denoise: Denoise, times: Times, noise: NoiseSource) -> tuple[Tensor, Tensor]:
        grid = times if isinstance(times, Tensor) else times(1.0)
        alpha, sigma = denoise.schedule(grid[0])
        return noise(self.like, "start") * float(torch.hypot(alpha, sigma)), grid


@dataclass(frozen=True, eq=False)
class SDEdit:
    """The picture, noised to t0 = strength: Meng et al. 2022, algorithm 1. x0 (B, ...), e.g. latents.

    strength 0 leaves the picture as it is, to the bit, on a grid of one knot; 1 is the noise start, and the same noise
    as `NoiseStart`. `steps` = "all" walks as many steps over [t0, 0] as the grid has; "fraction" cuts the grid at its
    last int(strength * steps) steps, as stock diffusers does, and begins at the knot found there.

    Raises BadInput unless 0 <= strength <= 1.
    """

    x0: Tensor
    strength: float = 0.6
    steps: Literal["all", "fraction"] = "all"

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise BadInput(f"A strength lies between 0 (unchanged) and 1 (all noise), not {self.strength}.")
        if self.steps not in ("all", "fraction"):
            raise BadInput(f'SDEdit\'s steps are "all" or "fraction", not {self.steps!r}.')

    def __call__(self, denoise: Denoise, times: Times, noise: NoiseSource) -> tuple[Tensor, Tensor]:
        if self.strength == 1:
            return NoiseStart(self.x0)(denoise, times, noise)
        grid = self._grid(times)
        if len(grid) == 1:
            return self.x0, grid
        return noised(denoise.schedule, self.x0, grid[0], noise(self.x0, "start")), grid

    def _grid(self, times: Times) -> Tensor:
        if self.steps == "fraction":
            grid = times if isinstance(times, Tensor) else times(1.0)
            total = len(grid) - 1
            return grid[total - int(self.strength * total) :]
        return rebuilt(times, self.strength)
