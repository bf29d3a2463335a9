"""From every mode in which a picture can stand in a file to grey, RGB or CMYK of eight bits, and its alpha."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from sfumato.picture.errors import BadInput

_BITS, _COMPRESSION, _PHOTOMETRIC, _EXTRA, _FORMAT = 258, 259, 262, 338, 339  # tags of TIFF
_RAW, _YCBCR, _SIGNED = 1, 6, 2


def eight_bits_and_alpha(image: Image.Image, name: str) -> tuple[Image.Image, Image.Image | None]:
    """`image` in mode L, RGB or CMYK, and its alpha in mode L; None where it has none.

    Greys of more than eight bits are scaled linearly from their whole range. Alpha that a BMP, or a TIFF that does not
    call it alpha, leaves 0 everywhere is no alpha: Windows writes such files. Raises `BadInput` for greys
    beyond their range.
    """
    tags = getattr(image, "tag_v2", {})
    undeclared = image.format in ("BMP", "DIB") or (image.format == "TIFF" and _EXTRA not in tags)
    image = _eight_bits(image, tags, name)
    image = image.convert({"La": "LA", "RGBa": "RGBA"}[image.mode]) if image.mode in ("La", "RGBa") else image
    if not image.has_transparency_data:
        return image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB"), None
    if image.mode == "LA":
        grey, alpha = image.split()
        return _inverted(grey) if _white_is_zero(tags) else grey, alpha
    image = image.convert("RGBA")
    alpha = image.getchannel("A")
    return image.convert("RGB"), None if undeclared and alpha.getextrema()[1] == 0 else alpha


def _white_is_zero(tags: Any) -> bool:
    return tags.get(_PHOTOMETRIC) == 0


def _inverted(grey: Image.Image) -> Image.Image:
    return grey.point(lambda value: 255 - value)


def check_known(image: Image.Image, name: str) -> None:
    """Raises `BadInput` for what Pillow would read as something else; before it decodes the picture."""
    tags = getattr(image, "tag_v2", {})
    if image.mode == "L" and tags.get(_FORMAT, (1,))[0] == _SIGNED:
        raise BadInput(f"{name} holds signed numbers of 8 bits: save it with greys from 0 to 255")
    if tags.get(_PHOTOMETRIC) == _YCBCR and tags.get(_COMPRESSION, _RAW) == _RAW:
        raise BadInput(f"{name} holds YCbCr without compression: save it as RGB")


def _eight_bits(image: Image.Image, tags: Any, name: str) -> Image.Image:
    """Modes I;16*, I and F as L (or LA where one grey is declared transparent), scaled linearly; others as they are."""
    if not (image.mode.startswith("I") or image.mode == "F"):
        return image
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise BadInput(f"{name} holds values that are not finite: give greys from 0 to 1 or from 0 to 255")
    low, high = float(values.min()), float(values.max())
    top, accepted = _range(image.mode, tags, high)
    if low < 0 or high > top:
        raise BadInput(f"{name} holds greys from {low:g} to {high:g}: accepted are greys {accepted}")
    clear = image.info.get("transparency")
    scaled = top - values if _white_is_zero(tags) else values
    grey = Image.fromarray(np.rint(scaled * (255 / top)).astype(np.uint8))
    if isinstance(clear, int):
        grey.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    return grey


def _range(mode: str, tags: Any, high: float) -> tuple[float, str]:
    """The value that is white, and what is accepted in words. `high`: the largest that is there."""
    if mode == "F":
        return 1.0 if high <= 1 else 255.0, "of a floating-point picture from 0 to 1, or from 0 to 255"
    bits = tags.get(_BITS, (16,))[0]
    if bits < 16:
        return 2.0**bits - 1, f"from 0 to {2**bits - 1}"
    if bits == 16 and tags.get(_FORMAT, (1,))[0] == _SIGNED:
        return 32767.0, "from 0 to 32767"
    return (65535.0 if mode != "I" or high <= 65535 else 2.0**31 - 1), "from 0 to 65535, or to 2147483647"
