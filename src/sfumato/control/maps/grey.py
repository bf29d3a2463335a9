"""Maps of one number a pixel as grey pictures."""

from __future__ import annotations

import numpy as np
from PIL import Image


def drawn_grey(values: np.ndarray) -> Image.Image:
    """(H, W) in [0, 1] -> RGB, 1 white."""
    levels = (np.clip(values, 0, 1) * 255).round().astype(np.uint8)
    return Image.fromarray(levels).convert("RGB")


def levelled_grey(values: np.ndarray) -> np.ndarray:
    """The least value 0 and the greatest 1; zeros where all are alike."""
    low, high = float(values.min()), float(values.max())
    return (values - low) / (high - low) if high > low else np.zeros(values.shape)


def grey_of(image: Image.Image) -> np.ndarray:
    """An RGB picture's brightness, (H, W) uint8."""
    return np.asarray(image.convert("L"))
