"""The pictures that a recipe names, as its run sees them, and the way back to the whole picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from sfumato.edit import feather, grow, paste
from sfumato.picture import fetch
from sfumato.recipe import Outside

if TYPE_CHECKING:
    from sfumato.picture.area import Box
    from sfumato.recipe import Recipe


@dataclass(frozen=True)
class View:
    """What a run sees of a picture: the part in `box`, or all of it, scaled to `size` (width, height)."""

    size: tuple[int, int]
    box: Box | None = None

    @classmethod
    def of(cls, recipe: Recipe, size: tuple[int, int]) -> View:
        return cls(size, None if recipe.area is None else recipe.area.box)

    def __call__(self, image: Image.Image) -> Image.Image:
        return sized(self.part(image), self.size)

    def part(self, image: Image.Image) -> Image.Image:
        """The part, at its own resolution."""
        return image if self.box is None else image.crop(self.box)


@dataclass(frozen=True)
class Given:
    """What is started from, what is held, the mask (mode L, white = repaint) and what is mended; None where the recipe
    names none. `whole`: where only a part is edited, the way back."""

    start: Image.Image | None = None
    held: Image.Image | None = None
    mask: Image.Image | None = None
    source: Image.Image | None = None
    whole: Whole | None = None

    @classmethod
    def of(cls, recipe: Recipe, size: tuple[int, int]) -> Given:
        """The pictures of a recipe as its run of `size` (width, height) sees them."""
        view = View.of(recipe, size)
        picture = getattr(recipe.start, "picture", None)
        start = None if picture is None else view(fetch(picture))
        source = None if recipe.source is None else view(fetch(recipe.source.picture))
        if recipe.hold is None:
            return cls(start, source=source)
        held = (start or source) if recipe.hold.picture is None else view(fetch(recipe.hold.picture))
        mask = shaped(recipe.hold) if isinstance(recipe.hold, Outside) else None
        whole = None
        if recipe.area is not None and mask is not None and recipe.held is not None:
            whole = Whole(view, fetch(recipe.held), mask, picture and fetch(picture), recipe.composite != "none")
        return cls(start, held, None if mask is None else view(mask), source, whole)


NOTHING = Given()


@dataclass(frozen=True)
class Whole:
    """The whole picture at its own resolution, of which a `view` is edited: what is held, the mask, and the start."""

    view: View
    held: Image.Image
    mask: Image.Image
    start: Image.Image | None
    pasted: bool

    def around(self, picture: Image.Image | None) -> Image.Image:
        """The whole, with `picture` (of any size; None for the start's own part) put into the view's place.

        Outside the mask it is the held picture to the byte, unless nothing is to be pasted.
        """
        box = self.view.box or (0, 0, *self.held.size)
        part = self.view.part(self.start or self.held) if picture is None else picture
        part = sized(part, (box[2] - box[0], box[3] - box[1]))
        if self.pasted:
            held, mask = (np.asarray(self.view.part(image)) for image in (self.held, self.mask))
            part = Image.fromarray(paste(held, np.asarray(part), mask))
        whole = self.held.copy()
        whole.paste(part, box[:2])
        return whole


def shaped(hold: Outside) -> Image.Image:
    """The mask of a hold (mode L) at its own size, grown and feathered as the hold says."""
    mask = fetch(hold.mask).convert("L")
    if hold.grow == 0 and hold.feather == 0:
        return mask
    values = torch.from_numpy(np.array(mask)).float()
    changed = 255 * feather(grow(values / 255, hold.grow), hold.feather)
    return Image.fromarray(changed.round().to(torch.uint8).numpy())


def sized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture scaled to (width, height); itself if it has that size."""
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)
