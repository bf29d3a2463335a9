"""The sizes that SDXL is told of the picture it is to paint."""

from __future__ import annotations

import torch

from sfumato.condition import Sizes
from sfumato.encode.encoder import Asked, Encoder

SCORE, LOW = 6.0, 2.5
"""The aesthetic scores that SDXL's makers tell its refiner, and its unconditional branch."""


class PictureSizes(Encoder):
    """A picture that was of the run's size from the start, of which nothing was cropped (Podell et al. 2023, 2.2).

    aesthetic: the refiner's numbers, with a score for the target's size.
    """

    def __init__(self, aesthetic: bool = False) -> None:
        self.aesthetic = aesthetic

    def __call__(self, batch: Asked) -> Sizes:
        (width, height), rows = batch.size, len(batch.recipes)
        if not self.aesthetic:
            return Sizes(torch.tensor([[height, width, 0, 0, height, width]] * rows, dtype=torch.float32))
        high, low = (torch.tensor([[height, width, 0, 0, score]] * rows) for score in (SCORE, LOW))
        return Sizes(high.float(), low.float())
