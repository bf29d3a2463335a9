"""What a run sees of a picture, and the way back into the whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from sfumato.edit.paste import paste

if TYPE_CHECKING:
    from sfumato.picture.area import Box


@dataclass(frozen=True)
class View:
    """What a run sees of a picture: the part in `box`, or all of it, scaled to `size` (width, height)."""

    size: tuple[int, int]
    box: Box | None = None

    def __call__(self, image: Image.Image) -> Image.Image:
        return sized(self.part(image), self.size)

    def part(self, image: Image.Image) -> Image.Image:
        """The part, at its own resolution."""
        return image if self.box is None else image.crop(self.box)


@dataclass(frozen=True)
class Whole:
    """The picture that is held at its own resolution, of which a `view` is edited.

    start: the picture that is started from, where it is another one. mask: the mask at the picture's own resolution
    (mode L), None where it is inferred. pasted: whether the picture keeps its own bytes outside the mask.
    """

    view: View
    held: Image.Image
    start: Image.Image | None
    mask: Image.Image | None
    pasted: bool

    @property
    def differs(self) -> bool:
        """Whether the run sees anything else than the picture as it is."""
        return self.view.box is not None or self.held.size != self.view.size

    def around(self, picture: Image.Image | None, mask: Image.Image | None = None) -> Image.Image:
        """The whole, with `picture` (of any size; None for the start's own part) put into the view's place.

        mask: where the picture changed, for an inferred one, of any size. Outside the mask the whole is the held
        picture to the byte, unless nothing is to be pasted.
        """
        box = self.view.box or (0, 0, *self.held.size)
        size = (box[2] - box[0], box[3] - box[1])
        part = sized(self.view.part(self.start or self.held) if picture is None else picture, size)
        if self.pasted:
            own = self.view.part(self.held)
            where = sized(mask, size) if self.mask is None else self.view.part(self.mask)
            if where is not None:
                part = Image.fromarray(paste(np.asarray(own), np.asarray(part), np.asarray(where)))
        whole = self.held.copy()
        whole.paste(part, box[:2])
        return whole


def sized(image: Image.Image | None, size: tuple[int, int]) -> Image.Image:
    """The picture scaled to (width, height); itself if it has that size."""
    return image if image is None or image.size == size else image.resize(size, Image.Resampling.LANCZOS)  # type: ignore[return-value]
