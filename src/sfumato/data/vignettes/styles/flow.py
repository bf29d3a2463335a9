"""Which way the brush goes: along the shapes where there are any, along a slow wave elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from . import ground


@dataclass(frozen=True)
class Composition:
    """The picture as a painter squints at it, reduced by `factor` to about 64 pixels."""

    factor: int
    colour: np.ndarray  # (h, w, 3)
    light: np.ndarray  # (h, w) luminance
    depth: np.ndarray  # (h, w)
    edge: np.ndarray  # (h, w) 0..1 borders of things
    detail: np.ndarray  # (h, w) 0..1 how busy the surroundings are
    line: np.ndarray  # (H, W) the borders at full size


def squint(colour: np.ndarray, instance: np.ndarray, depth: np.ndarray) -> Composition:
    u = ground.unit(*instance.shape)
    factor = max(1, round(u))
    small = ground.reduced(colour, factor)
    line = ground.edges(colour, instance, u)
    edge = ground.reduced(line, factor)
    detail = np.clip(ground.blur(edge, 1.6) * 1.8, 0.0, 1.0)
    return Composition(factor, small, ground.luminance(small), ground.reduced(depth, factor), edge, detail, line)


def doubled(angle: np.ndarray) -> np.ndarray:
    """Orientations as vectors (..., 2) of the doubled angle, in which they may be added."""
    return np.stack([np.cos(2 * angle), np.sin(2 * angle)], -1)


def along_shapes(seen: Composition, rest: np.ndarray, sigma: float = 2.5, trust: float = 12.0) -> np.ndarray:
    """Stroke angles (h, w): the smoothed structure tensor's minor axis, or `rest` (an angle field) where it is weak.

    The tensor of light and of the borders is averaged as a doubled-angle vector (Gxx - Gyy, 2 Gxy), which turns
    opposite gradients into the same orientation.
    """
    field = ground.blur(seen.light + 0.35 * seen.edge, 0.8)
    gy, gx = ndimage.sobel(field, 0, mode="nearest"), ndimage.sobel(field, 1, mode="nearest")
    tensor = np.stack([gx * gx - gy * gy, 2 * gx * gy], -1)
    tensor = -ground.blur(tensor, sigma) * trust
    weight = np.hypot(tensor[..., 0], tensor[..., 1])[..., None]
    mixed = tensor / (1.0 + weight) + doubled(rest) * (0.6 / (1.0 + 2 * weight))
    return 0.5 * np.arctan2(mixed[..., 1], mixed[..., 0])
