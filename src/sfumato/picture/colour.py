"""From every mode a picture can come in to upright RGB in sRGB, or to the grey of a mask."""

from __future__ import annotations

import contextlib
import io
import warnings
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from sfumato.picture.errors import BadInput, PictureWarning

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
_PROFILE_SPACE = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}


def upright(image: Image.Image) -> Image.Image:
    """`image` turned as its EXIF orientation says; an orientation that can't be read counts as none."""
    orientation: Any = 1
    with contextlib.suppress(Exception):
        orientation = image.getexif().get(_ORIENTATION, 1)
    turn = _TURN.get(orientation) if isinstance(orientation, int) else None
    if turn is None:
        return image
    turned = image.transpose(turn)
    turned.info = dict(image.info)
    return turned


def to_rgb(image: Image.Image, name: str) -> Image.Image:
    """A fresh RGB image: scaled to 8 bits, converted to sRGB, transparency laid on white."""
    profile = image.info.get("icc_profile")
    image = _eight_bits(image, name)
    alpha = None
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
        image = image.convert("RGB")
    elif image.mode not in _PROFILE_SPACE:
        image = image.convert("RGB")
    image = _to_srgb(image, profile, name)
    if alpha is not None and alpha.getextrema()[0] != 255:
        warnings.warn(f"{name} is partly transparent: it is laid on white", PictureWarning, stacklevel=4)
        image = Image.composite(image, Image.new("RGB", image.size, "white"), alpha)
    return Image.fromarray(np.array(image))


def to_grey(image: Image.Image, name: str) -> Image.Image:
    """A fresh image in mode L for a mask; see `open_mask` for what is refused."""
    image = _eight_bits(image, name)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema()[0] != 255:
            raise BadInput(
                f"{name} is partly transparent, which tools read in opposite ways: "
                "save it without transparency, white where the picture is to be repainted"
            )
        image = image.convert("RGB")
    grey = Image.fromarray(np.array(image.convert("RGB").convert("L")))
    if grey.getextrema()[1] == 1:
        raise BadInput(f"{name} has only the values 0 and 1 of 255: multiply it by 255, so that white means repaint")
    return grey


def _eight_bits(image: Image.Image, name: str) -> Image.Image:
    """Modes I;16*, I and F as L (or LA where one grey is declared transparent), scaled linearly."""
    if not (image.mode.startswith("I") or image.mode == "F"):
        return image
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise BadInput(f"{name} holds values that are not finite: give greys from 0 to 1 or from 0 to 255")
    low, high = float(values.min()), float(values.max())
    if image.mode == "F":
        top = 1.0 if high <= 1 else 255.0
        accepted = "of a floating-point picture from 0 to 1, or from 0 to 255"
    else:
        top = 65535.0 if image.mode != "I" or high <= 65535 else 2.0**31 - 1
        accepted = "from 0 to 65535, or to 2147483647"
    if low < 0 or high > top:
        raise BadInput(f"{name} holds greys from {low:g} to {high:g}: accepted are greys {accepted}")
    grey = Image.fromarray(np.rint(values * (255 / top)).astype(np.uint8))
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        grey.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    return grey


def _to_srgb(image: Image.Image, profile: bytes | None, name: str) -> Image.Image:
    if profile:
        try:
            source: Any = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            space = source.profile.xcolor_space.strip()
            if space == "RGB" and image.mode == "L":
                image = image.convert("RGB")
            if _PROFILE_SPACE[image.mode] != space:
                raise ImageCms.PyCMSError(f"a {space} profile in a {image.mode} picture")
            transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), image.mode, "RGB")
            if not (image.mode == "RGB" and _is_identity(transform)):
                image = ImageCms.applyTransform(image, transform) or image
        except Exception:  # profiles are small programs; a broken one must not cost the picture
            warnings.warn(f"the colour profile of {name} can't be used: sRGB is assumed", PictureWarning, stacklevel=5)
    return image.convert("RGB")


def _is_identity(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether a profile is sRGB itself, within one level on a grid of 17^3 colours."""
    levels = np.linspace(0, 255, 17).astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(17, -1, 3)
    moved = ImageCms.applyTransform(Image.fromarray(grid), transform)
    return moved is not None and int(np.abs(np.asarray(moved).astype(int) - grid).max()) <= 1


def from_array(array: np.ndarray, name: str, max_pixels: int) -> Image.Image:
    """A PIL image of an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4): uint8, uint16, bool, or float in [0, 1]."""
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or 0 in array.shape:
        raise BadInput(f"{name} is an array of shape {array.shape}: give (height, width) or (height, width, 3)")
    if array.shape[0] * array.shape[1] > max_pixels:
        raise BadInput(
            f"{name} is {array.shape[1]} x {array.shape[0]}: at most {max_pixels / 1e6:g} megapixels are read"
        )
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    elif array.dtype == np.uint16:
        array = np.rint(array / 257.0).astype(np.uint8)
    elif array.dtype.kind == "f":
        if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
            raise BadInput(f"{name} is an array of floats that leave [0, 1]: scale it to [0, 1], or give uint8")
        array = np.rint(array * 255.0).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise BadInput(f"{name} is an array of {array.dtype}: give uint8, uint16, bool, or floats in [0, 1]")
    return Image.fromarray(np.ascontiguousarray(array))
