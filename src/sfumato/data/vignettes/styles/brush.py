"""Bristle strokes: a small atlas of brush marks, stamped in one call with any place, turn, length and colour."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from sfumato.lazy import skia

_LENGTH, _VARIANTS = 96, 6


@lru_cache(maxsize=8)
def _marks(aspect: float, roughness: float) -> tuple[skia.Image, list[skia.Rect], int]:
    width = round(_LENGTH / aspect)
    rng = np.random.default_rng([width, round(100 * roughness)])
    atlas = np.zeros((width, _LENGTH * _VARIANTS, 4), np.uint8)
    y = (np.arange(width) + 0.5) / width * 2 - 1
    x = (np.arange(_LENGTH) + 0.5) / _LENGTH * 2 - 1
    for k in range(_VARIANTS):
        bristle = np.convolve(rng.standard_normal(width + 4), np.ones(3) / 3**0.5, "same")[2:-2]
        tip = 0.88 - 0.22 * np.abs(y) ** 3 + 0.10 * roughness * bristle
        tail = 0.92 - 0.30 * np.abs(y) ** 3 + 0.07 * roughness * np.roll(bristle, 3)
        reach = np.where(x[None] > 0, (tip[:, None] - x[None]), (tail[:, None] + x[None])) * 7
        side = (0.93 + 0.04 * np.sin(3 * x + k) - np.abs(y[:, None])) * (width / 4)
        alpha = np.clip(np.minimum(reach, side), 0, 1)
        dry = np.clip(1 - roughness * 0.5 * np.clip(x[None] - 0.1, 0, 1) * (bristle[:, None] > 0.7), 0, 1)
        shade = 0.955 + 0.045 * np.clip(roughness * bristle, -1.6, 1)[:, None] + 0.02 * y[:, None]
        cell = atlas[:, k * _LENGTH : (k + 1) * _LENGTH]
        cell[..., :3] = np.clip(shade * 255, 0, 255)[..., None]
        cell[..., 3] = alpha * dry * 255
    image = skia.Image.fromarray(atlas, colorType=skia.kRGBA_8888_ColorType).withDefaultMipmaps()
    return image, [skia.Rect.MakeXYWH(k * _LENGTH, 0, _LENGTH, width) for k in range(_VARIANTS)], width


def grid(height: int, width: int, spacing: float, jitter: float, rng: np.random.Generator) -> np.ndarray:
    """Places (n, 2) as x, y, on a jittered grid in random order: how a canvas is covered without holes."""
    rows, columns = int(np.ceil(height / spacing)), int(np.ceil(width / spacing))
    at = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).reshape(-1, 2).astype(np.float32)
    at = (at + 0.5 + jitter * (rng.random(at.shape, np.float32) - 0.5)) * spacing
    at[:, 0] *= width / (columns * spacing)
    at[:, 1] *= height / (rows * spacing)
    return rng.permutation(at)


def look(field: np.ndarray, at: np.ndarray, factor: int = 1) -> np.ndarray:
    """Values of a field (reduced by `factor`) under places given in full-size pixels."""
    x = np.clip((at[:, 0] / factor).astype(np.intp), 0, field.shape[1] - 1)
    y = np.clip((at[:, 1] / factor).astype(np.intp), 0, field.shape[0] - 1)
    return field[y, x]


class Canvas:
    """An opaque RGB canvas that takes whole layers of strokes at once."""

    def __init__(self, ground: np.ndarray) -> None:
        self._pixels = np.empty((*ground.shape[:2], 4), np.uint8)
        self._pixels[..., :3] = ground
        self._pixels[..., 3] = 255
        self._surface = skia.Surface(self._pixels, colorType=skia.kRGBA_8888_ColorType)

    def stroke(
        self,
        at: np.ndarray,
        angle: np.ndarray,
        length: np.ndarray,
        colour: np.ndarray,
        aspect: float = 3.0,
        roughness: float = 1.0,
    ) -> None:
        """Stamp n strokes in order: centres (n, 2), angles (n,), lengths (n,) in pixels, colours (n, 3) in [0, 1]."""
        if len(at) == 0:
            return
        image, rects, width = _marks(aspect, roughness)
        scale = length / _LENGTH
        cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
        x = at[:, 0] - cos * (_LENGTH / 2) + sin * (width / 2)
        y = at[:, 1] - sin * (_LENGTH / 2) - cos * (width / 2)
        turns = list(map(skia.RSXform, cos.tolist(), sin.tolist(), x.tolist(), y.tolist()))
        marks = (rects * (len(at) // _VARIANTS + 1))[: len(at)]
        rgb = (np.clip(colour * 1.04, 0, 1) * 255 + 0.5).astype(np.uint32)
        words = (0xFF000000 | rgb[:, 0] << 16 | rgb[:, 1] << 8 | rgb[:, 2]).tolist()
        sampling = skia.SamplingOptions(skia.FilterMode.kLinear, skia.MipmapMode.kNearest)
        self._surface.getCanvas().drawAtlas(image, turns, marks, words, skia.BlendMode.kModulate, sampling)

    def pixels(self) -> np.ndarray:
        self._surface.flushAndSubmit()
        return self._pixels[..., :3]
