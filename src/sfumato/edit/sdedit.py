"""SDEdit: Meng et al. 2022. The picture, with noise on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from sfumato.edit.noise_start import NoiseStart
from sfumato.edit.start import BoundStart, Start, Times, rebuilt
from sfumato.element import Kept, Real, element
from sfumato.lazy import Tensor
from sfumato.noise import NoiseSource
from sfumato.picture import BadInput
from sfumato.sample.step import Denoise
from sfumato.schedule import noised


@element("sdedit")
class SDEdit(Start):
    """Start from `picture`, noised to t0 = `strength` (Meng et al. 2022): 0 leaves it as it is, 1 is the noise start.

    `picture` is a path, bytes, a PIL image, an array or a `Ref`; it goes through the door (`open_picture`) into the
    store, and the value holds its `Ref`.
    """

    picture: Kept = Field(description="a picture: a path, bytes, a PIL image, an array or a Ref")
    strength: Real = Field(
        default=0.6, ge=0, le=1, description="a number from 0 (the picture as it is) to 1 (pure noise)"
    )

    noises = True

    def infotext(self) -> dict[str, str]:
        return {"Denoising strength": f"{self.strength:g}"}

    def bind(self, batch: Any) -> NoisedStart:
        return NoisedStart(batch.encoded(batch.images["start"]), self.strength)


@dataclass(frozen=True, eq=False)
class NoisedStart(BoundStart):
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
            grid = times(1.0) if callable(times) else times
            total = len(grid) - 1
            return grid[total - int(self.strength * total) :]
        return rebuilt(times, self.strength)
