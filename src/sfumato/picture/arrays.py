"""Numpy arrays as pictures."""

from __future__ import annotations

import numpy as np
from PIL import Image

from sfumato.picture.errors import BadInput


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
