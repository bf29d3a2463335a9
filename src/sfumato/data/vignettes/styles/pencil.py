"""Pencil sketch: coloured pencils on cream paper, hatched as dark as the tone asks, contours drawn twice by hand.

Hatching by tone is the tonal art map of Praun et al., "Real-time hatching" (2001): one cached field of lines a
direction, whose threshold is the wanted darkness, so that darker tones only ever add to the strokes of lighter ones.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from . import ground

_PAPER = np.array([0.975, 0.955, 0.905], np.float32)
_LEAD = np.array([0.20, 0.17, 0.19], np.float32)
_ANGLES = (-0.95, -0.60, -1.25, 0.75)


def pencil(picture: np.ndarray, instance: np.ndarray, depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    height, width = instance.shape
    u = ground.unit(height, width)
    colour = ground.to_float(picture)
    dark = 1.0 - ground.luminance(colour)
    chroma = colour.max(-1) - colour.min(-1)
    tone = np.clip(0.75 * dark + 0.45 * chroma, 0.0, 1.0)

    turn = int(rng.integers(len(_ANGLES)))
    which = (instance.astype(np.intp) * 7 + turn) % len(_ANGLES)
    lines = _hatching(height, width)
    first = np.take_along_axis(lines, which[None], 0)[0]
    across = np.take_along_axis(lines, (which[None] + 2) % len(_ANGLES), 0)[0]
    strokes = ground.smoothstep(-0.25, 0.25, tone * 1.15 - first)
    strokes = np.maximum(strokes, 0.9 * ground.smoothstep(-0.2, 0.2, tone * 1.1 - 0.5 - across))
    tooth = ground.shifted(ground.noise(height, width, 1.0, 31), rng)
    cover = np.clip(0.30 + 0.60 * strokes, 0.0, 0.95) * (1.0 + 0.10 * tooth)
    lead = ground.saturate(colour, 1.25)
    paper = _PAPER * (1.0 + 0.012 * tooth)[..., None]
    drawn = paper * (1.0 - np.clip(cover, 0, 1)[..., None] * (1.0 - lead))

    contour = _contours(ground.edges(colour, instance, u), u, tooth, rng)
    return ground.to_bytes(drawn * (1.0 - contour[..., None] * (1.0 - _LEAD)))


@lru_cache(maxsize=8)
def _hatching(height: int, width: int) -> np.ndarray:
    """Thresholds (angles, H, W): a pixel is drawn when the wanted tone exceeds its value."""
    u = ground.unit(height, width)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    fields = []
    for k, angle in enumerate(_ANGLES):
        across = (y * np.cos(angle) - x * np.sin(angle)) / u
        sway = ground.noise(height, width, 14.0, 40 + k)
        ridge = 0.5 - 0.5 * np.cos(2 * np.pi * (across + 0.45 * sway) / 2.9)
        pressure = ground.noise(height, width, 1.5, 50 + k, 7.0, angle)
        fields.append(0.12 + 0.80 * ridge - 0.16 * pressure)
    lines = np.stack(fields).astype(np.float32)
    lines.setflags(write=False)
    return lines


def _contours(edge: np.ndarray, u: float, tooth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Two passes of the hand along the same line, each a little off it and pressed unevenly."""
    left = np.ones_like(edge)
    for k, strength in enumerate((0.75, 0.5)):
        dy = 0.5 * u * ground.shifted(ground.noise(*edge.shape, 7.0, 60 + k), rng)
        dx = 0.5 * u * ground.shifted(ground.noise(*edge.shape, 7.0, 62 + k), rng)
        press = np.clip(0.75 + 0.25 * ground.shifted(ground.noise(*edge.shape, 9.0, 64 + k), rng), 0.2, 1.0)
        left *= 1.0 - strength * press * ground.displaced(edge, dy, dx)
    return np.clip((1.0 - left) * (0.95 + 0.08 * tooth), 0.0, 0.9)
