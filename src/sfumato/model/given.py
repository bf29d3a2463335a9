"""The pictures that a recipe names, at the size of its run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from sfumato.picture import fetch

if TYPE_CHECKING:
    from sfumato.recipe import Recipe


@dataclass(frozen=True)
class Given:
    """What is started from, what is held, the mask (mode L, white = repaint) and what is mended; None where the recipe
    names none."""

    start: Image.Image | None = None
    held: Image.Image | None = None
    mask: Image.Image | None = None
    source: Image.Image | None = None

    @classmethod
    def of(cls, recipe: Recipe, size: tuple[int, int]) -> Given:
        """The pictures of a recipe, scaled to `size` (width, height)."""
        picture = getattr(recipe.start, "picture", None)
        start = None if picture is None else sized(fetch(picture), size)
        source = None if recipe.source is None else sized(fetch(recipe.source.picture), size)
        if recipe.hold is None:
            return cls(start, source=source)
        held = (start or source) if recipe.hold.picture is None else sized(fetch(recipe.hold.picture), size)
        mask = getattr(recipe.hold, "mask", None)
        return cls(start, held, None if mask is None else sized(fetch(mask).convert("L"), size), source)


NOTHING = Given()


def sized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture scaled to (width, height); itself if it has that size."""
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)
