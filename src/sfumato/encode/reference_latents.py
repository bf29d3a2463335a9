"""Reference pictures as latents, for networks that look at them while they paint."""

from __future__ import annotations

import math
from collections.abc import Callable

from PIL import Image

from sfumato.condition import Part, References
from sfumato.encode.encoder import Asked, Encoder
from sfumato.recipe.capabilities import Capabilities
from sfumato.space import Space
from sfumato.space.pixels import to_tensor

Sized = Callable[[Image.Image, tuple[int, int]], Image.Image]


class ReferenceLatents(Encoder):
    """The recipe's reference pictures, each encoded in the stage's space.

    most: how many of them the network looks at. sized: (picture, size of the run) -> the picture at the size at which
    the network looks at it, sides multiples of the space's cells.
    """

    def __init__(self, space: Space, most: int, sized: Sized) -> None:
        self.space, self.sized = space, sized
        self.tells = Capabilities(references=most)

    def __call__(self, batch: Asked) -> Part | None:
        """None where the recipe names no pictures: then the network paints from words alone."""
        if not batch.references:
            return None
        seen = [self.space.encode(to_tensor([self.sized(image, batch.size)])) for image in batch.references]
        return References(tuple(latents.expand(len(batch.recipes), -1, -1, -1) for latents in seen))


def of_area(multiple: int) -> Sized:
    """A picture of the run's own size as it is; another scaled to cover as many pixels as the run's, with its own
    proportions up to sides that are multiples of `multiple`."""

    def sized(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
        if picture.size == size:
            return picture
        scale = math.sqrt(size[0] * size[1] / (picture.width * picture.height))
        width, height = (max(1, round(side * scale / multiple)) * multiple for side in picture.size)
        return picture.resize((width, height), Image.Resampling.LANCZOS)

    return sized
