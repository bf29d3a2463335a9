"""From a picture's own colours to upright RGB in sRGB, or to the grey of a mask."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from sfumato.picture.errors import BadInput, note
from sfumato.picture.modes import eight_bits_and_alpha

_ORIENTATION = 0x0112
_TURN = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
Say = Callable[[str], None]
_PROFILE_SPACE = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; one that can't be read counts as 1."""
    found: Any = 1
    with contextlib.suppress(Exception):
        found = image.getexif().get(_ORIENTATION, 1)
    return found if isinstance(found, int) and found in _TURN else 1


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """A picture that was stored in that EXIF orientation, upright."""
    return image if orientation == 1 else image.transpose(_TURN[orientation])


def to_rgb(image: Image.Image, name: str, say: Say = note) -> Image.Image:
    """A fresh RGB image: scaled to 8 bits, converted to sRGB, transparency laid on white. `say` hears what was done."""
    profile = image.info.get("icc_profile") if image.mode != "LAB" else None  # Pillow's LAB is always the CIE's
    image, alpha = eight_bits_and_alpha(image, name)
    image = to_srgb(image, profile, name, say)
    if alpha is not None and alpha.getextrema()[0] != 255:
        say(f"{name} is partly transparent: it is laid on white")
        image = Image.composite(image, Image.new("RGB", image.size, "white"), alpha)
    return Image.fromarray(np.array(image))


def to_grey(image: Image.Image, name: str, say: Say = note) -> Image.Image:
    """A fresh image in mode L for a mask; see `open_mask` for what is refused."""
    image, alpha = eight_bits_and_alpha(image, name)
    if alpha is not None and alpha.getextrema()[0] != 255:
        raise BadInput(
            f"{name} is partly transparent, which tools read in opposite ways: "
            "save it without transparency, white where the picture is to be repainted"
        )
    grey = Image.fromarray(np.array(image.convert("RGB").convert("L")))
    if grey.getextrema()[1] == 1:
        raise BadInput(f"{name} has only the values 0 and 1 of 255: multiply it by 255, so that white means repaint")
    return grey


def to_srgb(image: Image.Image, profile: bytes | None, name: str, say: Say = note) -> Image.Image:
    """`image` (L, RGB or CMYK) in RGB, its colours moved from `profile` to sRGB; as they are where that is sRGB."""
    if profile:
        try:
            source: Any = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            space = source.profile.xcolor_space.strip()
            if space == "RGB" and image.mode == "L":
                image = image.convert("RGB")
            if _PROFILE_SPACE[image.mode] != space:
                raise ImageCms.PyCMSError(f"a {space} profile in a {image.mode} picture")
            transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), image.mode, "RGB")
            if not (image.mode == "RGB" and is_identity(transform)):
                image = ImageCms.applyTransform(image, transform) or image
        except Exception:  # profiles are small programs; a broken one must not cost the picture
            say(f"the colour profile of {name} can't be used: sRGB is assumed")
    return image.convert("RGB")


def is_identity(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether a profile is sRGB itself, within one level on a grid of 17^3 colours."""
    levels = np.linspace(0, 255, 17).astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(17, -1, 3)
    moved = ImageCms.applyTransform(Image.fromarray(grid), transform)
    return moved is not None and int(np.abs(np.asarray(moved).astype(int) - grid).max()) <= 1
