"""Pictures of points: a scatter in the colours of their classes, and their density."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

EXTENT = 3.0
COLOURS = np.array([[38, 70, 140], [214, 92, 38], [46, 139, 104], [196, 160, 32]])
COLOURS = np.concatenate([COLOURS, [[140, 60, 140], [70, 160, 200], [180, 40, 70], [96, 96, 96]]])
DARK_TO_LIGHT = np.array([[16, 12, 36], [72, 28, 98], [168, 54, 92], [240, 132, 60], [255, 240, 200]])


def scatter(points: np.ndarray, labels: np.ndarray | None = None, size: int = 256) -> np.ndarray:
    """Points (n, 2) on white, uint8 (size, size, 3): the more of them in a place, the fuller its colour."""
    colours = COLOURS[np.zeros(len(points), int) if labels is None else labels % len(COLOURS)]
    ink = np.stack([_counted(points, size, colours[:, c]) for c in range(3)], -1)
    count = _counted(points, size)[..., None]
    covered = 1 - np.exp(-1.5 * count)
    return _bytes(255 * (1 - covered) + covered * ink / np.maximum(count, 1e-9))


def density(points: np.ndarray, size: int = 256) -> np.ndarray:
    """The points' density, smoothed a little, from dark to light: uint8 (size, size, 3)."""
    smooth = gaussian_filter(_counted(points, size), size / 80) + 1e-9
    level = np.sqrt(smooth / smooth.max()) * (len(DARK_TO_LIGHT) - 1)
    return _bytes(np.stack([np.interp(level, range(len(DARK_TO_LIGHT)), c) for c in DARK_TO_LIGHT.T], -1))


def _counted(points: np.ndarray, size: int, weights: np.ndarray | None = None) -> np.ndarray:
    """A histogram over [-EXTENT, EXTENT]^2, the second axis upwards."""
    edges = np.linspace(-EXTENT, EXTENT, size + 1)
    return np.histogram2d(-points[:, 1], points[:, 0], bins=(edges, edges), weights=weights)[0]


def _bytes(x: np.ndarray) -> np.ndarray:
    return x.round().clip(0, 255).astype(np.uint8)
