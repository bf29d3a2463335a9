"""Parts of pictures and pictures beyond their edge: the box around a mask, and a wider canvas."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from sfumato.picture.door import MAX_PIXELS
from sfumato.picture.errors import BadInput

Box = tuple[int, int, int, int]
"""(left, top, right, bottom) in pixels, right and bottom exclusive, as PIL has it."""


def around(mask: Image.Image, margin: int, size: tuple[int, int]) -> Box:
    """The box of what is not black in the mask, with `margin` pixels on each side, grown to the aspect of `size`.

    It is at least `size` (width, height) large; where the picture is smaller than that or the mask lies at its border,
    the box is cut or moved to lie within the picture. Of a black mask it is the whole picture.
    """
    left, top, right, bottom = mask.getbbox() or (0, 0, *mask.size)
    scale = max((right - left + 2 * margin) / size[0], (bottom - top + 2 * margin) / size[1], 1.0)
    x, wide = _within(left, right, round(size[0] * scale), mask.width)
    y, high = _within(top, bottom, round(size[1] * scale), mask.height)
    return x, y, x + wide, y + high


def proportioned(whole: tuple[int, int], size: tuple[int, int], inner: Box | None = None) -> Box:
    """The largest box with the proportions of `size` in a picture of size `whole`: its middle, or around `inner`.

    Raises BadInput where `inner` is wider or higher than such a box can be.
    """
    scale = min(whole[0] / size[0], whole[1] / size[1])
    wide, high = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    left, top, right, bottom = inner or (whole[0] // 2, whole[1] // 2, (whole[0] + 1) // 2, (whole[1] + 1) // 2)
    if right - left > wide or bottom - top > high:
        raise BadInput(
            f"What is repainted covers {right - left} x {bottom - top} of the picture's {whole[0]} x {whole[1]} "
            f"pixels, more than a part with the proportions of {size[0]} x {size[1]} has"
        )
    (x, wide), (y, high) = _within(left, right, wide, whole[0]), _within(top, bottom, high, whole[1])
    return x, y, x + wide, y + high


def alike(size: tuple[int, int], other: tuple[int, int], within: float) -> bool:
    """Whether two sizes have the same proportions: scaled to one side of `other`, the other side differs by at most
    `within` pixels."""
    return any(abs(size[1 - i] * other[i] / size[i] - other[1 - i]) <= within for i in (0, 1))


def _within(first: int, last: int, wanted: int, limit: int) -> tuple[int, int]:
    """Where a span of `wanted` pixels around first ... last begins, and its length, within 0 ... limit."""
    length = min(max(wanted, last - first), limit)
    return min(max((first + last - length) // 2, 0), limit - length), length


def extended(
    picture: Image.Image, border: tuple[int, int, int, int], mask: Image.Image | None = None
) -> tuple[Image.Image, Image.Image]:
    """The picture on a canvas that is wider by `border` (left, top, right, bottom) pixels, and the mask of what is new.

    The new part continues the picture's edge, blurred: something to paint over, under noise. The mask (mode L) is white
    there, and inside as `mask` has it, black without one. Raises BadInput for a negative or an immense border.
    """
    left, top, right, bottom = border
    if min(border) < 0 or max(border) == 0:
        raise BadInput(
            f"a picture is extended by {', '.join(map(str, border))}: give pixels from 0 for left, top, right and "
            "bottom, and at least one that is more than 0"
        )
    width, height = picture.width + left + right, picture.height + top + bottom
    if width * height > MAX_PIXELS:
        raise BadInput(
            f"the extended picture would be {width} x {height}: at most {MAX_PIXELS // 10**6} megapixels are made"
        )
    stretched = np.pad(np.asarray(picture.convert("RGB")), ((top, bottom), (left, right), (0, 0)), mode="edge")
    canvas = Image.fromarray(stretched).filter(ImageFilter.GaussianBlur(max(border) / 4))
    canvas.paste(picture, (left, top))
    new = Image.new("L", (width, height), 255)
    new.paste(mask.convert("L") if mask is not None else 0, (left, top, left + picture.width, top + picture.height))
    return canvas, new
