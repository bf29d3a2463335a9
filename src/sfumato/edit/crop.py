"""Editing a part of a picture: what lies around the mask, at the model's size."""

from __future__ import annotations

from pydantic import Field

from sfumato.element import Box, Whole, element


@element("crop")
class Crop:
    """Edit only what lies around the mask, at the model's size, and put it back into the picture at its own resolution.

    The box has the model's aspect and at least its size, where the picture is large enough, and leaves `margin` pixels
    around the mask. `box` (left, top, right, bottom) is filled in by the pipe, or given. Without a mask the box is all
    that is edited and comes back: the largest part of the picture with the proportions of the recipe's size.
    """

    margin: Whole = Field(default=32, ge=0, le=4096, description="a whole number of pixels from 0 to 4096")
    box: Box | None = Field(default=None, description="(left, top, right, bottom) in pixels, or nothing")
