"""Pure noise: where text to image starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import Field

from sfumato.edit.start import BoundStart, Start, Times
from sfumato.element import element
from sfumato.lazy import Tensor, torch
from sfumato.noise import NoiseSource
from sfumato.sample.step import Denoise


@element("noise")
class Noise(Start):
    """Start from pure noise, drawn from the recipe's seed: of unit variance, or as k-diffusion begins, sigma z."""

    unit: bool = Field(default=True, description="true for unit variance, false for sigma z")

    def bind(self, batch: Any) -> NoiseStart:
        return NoiseStart(batch.like, self.unit)


@dataclass(frozen=True, eq=False)
class NoiseStart(BoundStart):
    """Pure noise in the shape, dtype and device of `like` (B, ...): x = sqrt(alpha^2 + sigma^2) z at the first knot.

    That is z for a variance-preserving schedule, also where a leading grid begins below t = 1, as stock diffusers
    has it. unit=False is sigma z, as k-diffusion and A1111 have it.
    """

    like: Tensor
    unit: bool = True

    def __call__(self, denoise: Denoise, times: Times, noise: NoiseSource) -> tuple[Tensor, Tensor]:
        grid = times(1.0) if callable(times) else times
        alpha, sigma = denoise.schedule(grid[0])
        size = torch.hypot(alpha, sigma) if self.unit else sigma
        return noise(self.like, "start") * float(size), grid
