"""Reference pictures as latents, for networks that look at them while they paint."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image

from sfumato.condition import Part, References
from sfumato.encode.encoder import Asked, Encoder
from sfumato.recipe.capabilities import Capabilities
from sfumato.space import Space
from sfumato.space.pixels import to_tensor


class ReferenceLatents(Encoder):
    """The recipe's reference pictures, each encoded in the stage's space.

    most: how many of them the network looks at. sized: (picture, size of the run) -> the picture at the size at which
    the network looks at it, sides multiples of the space's cells.
    """

    def __init__(self, space: Space, most: int, sized: Callable[[Image.Image, tuple[int, int]], Image.Image]) -> None:
        self.space, self.sized = space, sized
        self.tells = Capabilities(references=most)

    def __call__(self, batch: Asked) -> Part | None:
        """None where the recipe names no pictures: then the network paints from words alone."""
        if not batch.references:
            return None
        seen = [self.space.encode(to_tensor([self.sized(image, batch.size)])) for image in batch.references]
        return References(tuple(latents.expand(len(batch.recipes), -1, -1, -1) for latents in seen))
