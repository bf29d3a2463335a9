"""At which size a model runs a recipe, and which part of a picture it is shown."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import lcm
from typing import TYPE_CHECKING

from sfumato.edit import Crop
from sfumato.picture import BadInput
from sfumato.picture.area import alike, around, proportioned

if TYPE_CHECKING:
    from PIL import Image

    from sfumato.recipe import Recipe

SIDE = 4  # of which a recipe's sides are multiples
SHRUNK = 0.75  # of a picture's own size: less, and a part around the mask may be edited instead
NEARER = 1.25  # how much larger that part must be shown than the whole would be


@dataclass(frozen=True)
class PaintedSizes:
    """Of a model that was trained at `size` (width, height) and paints sides that are multiples of `multiple`."""

    size: tuple[int, int]
    multiple: int

    def filled(self, recipe: Recipe) -> Recipe:
        """The recipe with its size and, where it edits a part of a picture, that part's box.

        Raises BadInput for a size that the model can't paint.
        """
        recipe = self._boxed(recipe)
        width, height = self._of(recipe)
        for side in (width, height):
            if side % self.multiple:
                raise BadInput(
                    f"The size {width} x {height} does not suit this model; "
                    f"each side must be a multiple of {self.multiple}."
                )
        return replace(recipe, width=width, height=height)

    def fit(self, width: int, height: int, longer: int | None = None) -> tuple[int, int]:
        """The size at which a picture of width x height is edited: scaled so that its longer side is `longer`, by
        default the model's own size, each side rounded to the multiple that the model needs, and at least the 8 pixels
        of a recipe."""
        scale = (longer or max(self.size)) / max(width, height)
        least = -(-8 // self._grain) * self._grain

        def rounded(side: int) -> int:
            return max(least, round(side * scale / self._grain) * self._grain)

        return rounded(width), rounded(height)

    @property
    def _grain(self) -> int:
        """What each side of a run must be a multiple of."""
        return lcm(self.multiple, SIDE)

    def _of(self, recipe: Recipe) -> tuple[int, int]:
        if recipe.width and recipe.height:
            return recipe.width, recipe.height
        if recipe.width or recipe.height:
            raise BadInput("A recipe gives both width and height, or neither.")
        enlarges = recipe.start.enlarges
        longer = round(max(self.size) * enlarges)
        if recipe.area is not None and recipe.area.box is not None:
            left, top, right, bottom = recipe.area.box
            return self.fit(right - left, bottom - top, longer)
        if recipe.held is not None:
            return self.fit(*recipe.held.size, longer)
        return self.size if enlarges == 1 else self.fit(*self.size, longer)

    def _boxed(self, recipe: Recipe) -> Recipe:
        """The recipe with the box of the part that it edits, if it edits a part: around a mask what is wished or shows
        the model enough, and of a picture whose proportions a size does not have the largest part that has them."""
        picture = recipe.held
        painted = getattr(recipe.start, "picture", None) is None and recipe.hold is None and recipe.source is None
        if painted or picture is None or (recipe.area is not None and recipe.area.box is not None):
            return recipe
        mask = None if recipe.hold is None else recipe.hold.shaped()
        asked = (recipe.width, recipe.height) if recipe.width and recipe.height else None
        if recipe.area is not None and mask is not None:
            box = around(mask, recipe.area.margin, asked or self.size)
            recipe = replace(recipe, area=replace(recipe.area, box=box))
            picture_size = (box[2] - box[0], box[3] - box[1])
        elif asked is None:
            return recipe if mask is None else replace(recipe, area=self._enough(mask))
        else:
            picture_size = (picture.width, picture.height)
        if asked is None or asked == self.fit(*picture_size) or alike(picture_size, asked, self._grain / 2):
            return recipe
        inner = None if mask is None else mask.getbbox()
        try:
            box = proportioned((picture.width, picture.height), asked, inner)
        except BadInput as error:
            width, height = self.fit(picture.width, picture.height, max(asked))
            raise BadInput(f"{error}: give the size {width} x {height}, or leave it out") from None
        return replace(recipe, area=replace(recipe.area or Crop(), box=box))

    def _enough(self, mask: Image.Image) -> Crop | None:
        """The part around a mask to edit, where the whole picture would have to shrink far more than that part; None
        where the model can see all of it."""
        whole = max(self.size) / max(mask.size)
        if whole >= SHRUNK:
            return None
        left, top, right, bottom = mask.getbbox() or (0, 0, *mask.size)
        margin = max(Crop().margin, max(right - left, bottom - top) // 2)
        box = around(mask, margin, self.size)
        part = max(self.size) / max(box[2] - box[0], box[3] - box[1])
        return Crop(margin, box) if part > NEARER * whole else None
