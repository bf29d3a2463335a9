"""What all styles stand on: units, cached noise, soft filters, edges. Colours are float32 in [0, 1]."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import ndimage

_LUMA = (0.299, 0.587, 0.114)


def unit(height: int, width: int) -> float:
    """The length that is one pixel when the shorter side has 64: all stroke sizes are multiples of it."""
    return min(height, width) / 64.0


def hand(height: int, width: int, power: float = 0.7) -> float:
    """The size of a hand's marks, in pixels as `unit`: on a larger sheet they grow, but less than the sheet."""
    return unit(height, width) ** power


def to_float(picture: np.ndarray) -> np.ndarray:
    return picture.astype(np.float32) * np.float32(1 / 255)


def to_bytes(colour: np.ndarray) -> np.ndarray:
    return (np.clip(colour, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def luminance(colour: np.ndarray) -> np.ndarray:
    return colour[..., 0] * _LUMA[0] + colour[..., 1] * _LUMA[1] + colour[..., 2] * _LUMA[2]


def span(colour: np.ndarray) -> np.ndarray:
    """Largest minus smallest channel: chroma in the sense of HSV."""
    r, g, b = colour[..., 0], colour[..., 1], colour[..., 2]
    return np.maximum(np.maximum(r, g), b) - np.minimum(np.minimum(r, g), b)


def saturate(colour: np.ndarray, factor: float) -> np.ndarray:
    """Move colours away from their own grey; hue angle in the opponent plane stays."""
    grey = luminance(colour)[..., None]
    return np.clip(grey + factor * (colour - grey), 0.0, 1.0)


def blur(field: np.ndarray, sigma: float) -> np.ndarray:
    sigmas = (sigma, sigma) + (0.0,) * (field.ndim - 2)
    return ndimage.gaussian_filter(field, sigmas, mode="nearest", truncate=2.5)


def smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    s = np.clip((x - low) / (high - low), 0.0, 1.0)
    return s * s * (3.0 - 2.0 * s)


@lru_cache(maxsize=96)
def noise(height: int, width: int, cell: float, seed: int, stretch: float = 1.0, angle: float = 0.0) -> np.ndarray:
    """Smooth noise, mean 0, deviation 1, periodic for angle 0, of cells `cell` units wide, `stretch` times as long.

    The random grid depends on the cell alone, so that every size shows the same noise. Read-only and cached.
    """
    u = unit(height, width)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    along, across = (
        (x + 0.5) * np.cos(angle) + (y + 0.5) * np.sin(angle),
        (y + 0.5) * np.cos(angle) - (x + 0.5) * np.sin(angle),
    )
    rows = max(2, round(height / u / cell))
    columns = max(2, round(width / u / (cell * stretch)))
    grid = np.random.default_rng([seed, rows, columns]).standard_normal((rows, columns))
    at = np.stack([across * (rows / height) - 0.5, along * (columns / width) - 0.5])
    field = ndimage.map_coordinates(grid, at, order=3, mode="grid-wrap")
    field = ((field - field.mean()) / (field.std() + 1e-9)).astype(np.float32)
    field.setflags(write=False)
    return field


def tooth(height: int, width: int) -> np.ndarray:
    """A paper's grain, one to two pixels wide at any size."""
    return noise(height, width, round(hand(height, width, 0.4) / unit(height, width), 6), 31)


def shifted(field: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A periodic field rolled by a random fraction of its size: another noise at the price of a copy."""
    fy, fx = rng.random(2)
    return np.roll(field, (int(fy * field.shape[0]), int(fx * field.shape[1])), (0, 1))


def edges(colour: np.ndarray, instance: np.ndarray, u: float) -> np.ndarray:
    """Where things end: 0..1 lines about one unit wide along instance borders and sharp changes of colour."""
    strength = np.zeros(instance.shape, np.float32)
    for axis in (0, 1):
        change = np.abs(np.diff(colour, axis=axis))
        step = np.maximum(np.maximum(change[..., 0], change[..., 1]), change[..., 2])
        other = np.diff(instance.astype(np.int16), axis=axis) != 0
        line = np.clip((step - 0.05) * 4.0 + other * 0.45, 0.0, 1.0)
        first = (slice(None, -1), slice(None)) if axis == 0 else (slice(None), slice(None, -1))
        second = (slice(1, None), slice(None)) if axis == 0 else (slice(None), slice(1, None))
        np.maximum(strength[first], line, out=strength[first])
        np.maximum(strength[second], line, out=strength[second])
    if u > 1.2:
        strength = np.clip(blur(strength, 0.4 * u) * (0.75 * u), 0.0, 1.0)
    return strength


def sparse(edge: np.ndarray, u: float) -> np.ndarray:
    """Edges without those of things too small to be outlined, such as eyes: there the borders crowd together."""
    return edge * (1.0 - smoothstep(0.58, 0.82, blur(edge, 1.3 * u)))


def displaced(field: np.ndarray, dy: np.ndarray, dx: np.ndarray) -> np.ndarray:
    """Sample a (H, W) or (H, W, C) field at displaced places, bilinearly."""
    height, width = dy.shape
    y = np.clip(np.arange(height, dtype=np.float32)[:, None] + dy, 0, height - 1.001)
    x = np.clip(np.arange(width, dtype=np.float32)[None, :] + dx, 0, width - 1.001)
    y0, x0 = y.astype(np.int32), x.astype(np.int32)
    fy, fx = y - y0, x - x0
    flat = field.reshape(height * width, -1)
    i = y0 * width + x0
    shape = (height, width, 1)
    fy, fx = fy.reshape(shape), fx.reshape(shape)
    top = flat[i] * (1 - fx) + flat[i + 1] * fx
    low = flat[i + width] * (1 - fx) + flat[i + width + 1] * fx
    return (top * (1 - fy) + low * fy).reshape(field.shape)


def reduced(field: np.ndarray, factor: int) -> np.ndarray:
    """Block means, edge-padded to whole blocks: a picture of about 64 pixels for looking at the composition."""
    if factor == 1:
        return field
    pad = [(0, -field.shape[0] % factor), (0, -field.shape[1] % factor)] + [(0, 0)] * (field.ndim - 2)
    field = np.pad(field, pad, mode="edge")
    total = np.zeros((field.shape[0] // factor, field.shape[1] // factor, *field.shape[2:]), np.float32)
    for row in range(factor):
        for column in range(factor):
            total += field[row::factor, column::factor]
    return total / factor**2
