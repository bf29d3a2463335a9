"""The sections of a recipe for a network from pictures to pictures."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .section import Count, Positive, Section
from .sections import Common
from .sections_objective import Regression
from .sections_pixels import ByNothing, PixelUNet, Stored, TableObjective, halves

Task = Literal["colourise", "inpaint", "uncrop", "restore"]
Quality = Annotated[int, Field(ge=1, le=100)]


class Mended(Section):
    """A sample grid: `count` pictures held back, for each task as they are seen, as they are mended, as they are."""

    count: Positive = 4
    steps: Positive = 20
    seed: Count = 0


class Palette(Common):
    """Several tasks of picture to picture in one network (Saharia et al. 2022).

    `quality` is the range of JPEG's; `objective.loss.norm` is the paper's p. `mirror` mirrors half of the pictures.
    """

    task: Literal["palette"]
    tasks: Annotated[tuple[Task, ...], Field(min_length=1)] = ("colourise", "inpaint", "uncrop", "restore")
    quality: tuple[Quality, Quality] = (5, 30)
    mirror: bool = True
    network: PixelUNet = PixelUNet()
    label: ByNothing = ByNothing(kind="none")
    objective: TableObjective = TableObjective()
    preview: Mended = Mended()
    export: Stored = "float16"

    @model_validator(mode="after")
    def _fits(self) -> Palette:
        halves(self.data, self.network.channels)
        if not isinstance(self.objective.loss, Regression):
            raise ValueError(f"palette learns by the loss regression (norm 1 or 2), not {self.objective.loss.kind}")
        if self.quality[0] > self.quality[1]:
            raise ValueError(f"quality goes from low to high, not from {self.quality[0]} to {self.quality[1]}")
        return self
