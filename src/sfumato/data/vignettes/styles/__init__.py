"""Painting styles: a flat picture and its ground truth in, a painted picture out.

Every style is a pure function of its arguments. Its strokes, grain and wobble are laid out in units of the picture's
size, so that a 64-pixel and a 256-pixel picture look alike, and from a random generator that alone decides all chance.
"""

from __future__ import annotations

import numpy as np

from .flat import flat as _flat
from .oil import oil as _oil
from .pencil import pencil as _pencil
from .starry import starry as _starry
from .watercolour import watercolour as _watercolour

__all__ = ["STYLES", "apply"]

_PAINTERS = {
    "flat": _flat,
    "oil": _oil,
    "watercolour": _watercolour,
    "pencil sketch": _pencil,
    "starry night": _starry,
}
STYLES: tuple[str, ...] = tuple(_PAINTERS)


def apply(name: str, flat: np.ndarray, instance: np.ndarray, depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Paint a flat picture in a style.

    Named colours stay nameable: a region keeps its hue (within about 15 degrees) and a clear saturation, white stays
    near white. Only "starry night" changes colours, and only in the far background (depth near 1).

    Args:
        name: one of `STYLES`.
        flat: uint8 (H, W, 3), H and W at least 8.
        instance: uint8 (H, W), which thing each pixel belongs to.
        depth: float32 (H, W), 0 near to 1 far.
        rng: the only source of chance; the same state gives the same pixels.

    Returns:
        uint8 (H, W, 3).

    Raises:
        ValueError: an unknown style, or shapes and types that do not fit together.
    """
    if name not in _PAINTERS:
        raise ValueError(f"unknown style {name!r}: choose one of {', '.join(STYLES)}")
    if flat.ndim != 3 or flat.shape[2] != 3 or flat.dtype != np.uint8:
        raise ValueError(f"a flat picture is uint8 (H, W, 3), got {flat.dtype} {flat.shape}")
    if min(flat.shape[:2]) < 8:
        raise ValueError(f"styles need at least 8 pixels a side, got {flat.shape[1]} x {flat.shape[0]}")
    if instance.shape != flat.shape[:2] or depth.shape != flat.shape[:2]:
        raise ValueError(
            f"instance {instance.shape} and depth {depth.shape} must have the picture's size {flat.shape[:2]}"
        )
    return _PAINTERS[name](flat, instance, depth, rng)
