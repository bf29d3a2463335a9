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
    colour = ground.to_float(picture)
    tone = np.clip(0.75 * (1.0 - ground.luminance(colour)) + 0.45 * ground.span(colour), 0.0, 1.0)

    turn = int(rng.integers(len(_ANGLES)))
    which = (instance.astype(np.intp) * 7 + turn) % len(_ANGLES)
    lines = _hatching(height, width)
    first = np.take_along_axis(lines, which[None], 0)[0]
    across = np.take_along_axis(lines, (which[None] + 2) % len(_ANGLES), 0)[0]
    strokes = ground.smoothstep(-0.28, 0.28, tone * 1.15 - first)
    strokes = np.maximum(strokes, 0.9 * ground.smoothstep(-0.2, 0.2, tone * 1.1 - 0.5 - across))
    u = ground.hand(height, width, 0.55)
    edge = ground.edges(colour, instance, u)
    busy = ground.smoothstep(0.25, 0.7, ground.blur(edge, 2.0 * u))
    strokes += 0.7 * busy * (tone - strokes)  # no hatching through small features
    tooth = ground.shifted(ground.tooth(height, width), rng)
    base = 0.26 + 0.42 * tone * tone
    cover = np.clip((base + (0.90 - base) * strokes) * (1.0 + 0.14 * tooth), 0.0, 0.95)[..., None]
    paper = _PAPER * (1.0 + 0.010 * tooth)[..., None]
    drawn = paper * (1.0 - cover * (1.0 - ground.saturate(colour, 1.25)))

    contour = _contours(0.15 * edge + 0.85 * ground.sparse(edge, u), tooth, rng)[..., None]
    return ground.to_bytes(drawn * (1.0 - contour * (1.0 - _LEAD)))


@lru_cache(maxsize=8)
def _hatching(height: int, width: int) -> np.ndarray:
    """Thresholds (angles, H, W): a pixel is drawn when the wanted tone exceeds its value."""
    u = ground.hand(height, width, 0.6)
    relative = u / ground.unit(height, width)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    fields = []
    for k, angle in enumerate(_ANGLES):
        across = (y * np.cos(angle) - x * np.sin(angle)) / u
        sway = ground.noise(height, width, 12.0 * relative, 40 + k)
        ridge = 0.5 - 0.5 * np.cos(2 * np.pi * (across + 0.5 * sway) / 2.9)
        pressure = ground.noise(height, width, 1.5 * relative, 50 + k, 7.0, angle)
        fields.append(0.12 + 0.80 * ridge - 0.17 * pressure)
    lines = np.stack(fields).astype(np.float32)
    lines.setflags(write=False)
    return lines


def _contours(edge: np.ndarray, tooth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Two passes of the hand along the same line, each a little off it and pressed unevenly."""
    height, width = edge.shape
    u = ground.hand(height, width, 0.75)
    left = np.ones_like(edge)
    for k, strength in enumerate((0.68, 0.45)):
        dy = 0.5 * u * ground.shifted(ground.noise(height, width, 8.0, 60 + k), rng)
        dx = 0.5 * u * ground.shifted(ground.noise(height, width, 8.0, 62 + k), rng)
        press = np.clip(0.72 + 0.28 * ground.shifted(ground.noise(height, width, 9.0, 64 + k), rng), 0.15, 1.0)
        left *= 1.0 - strength * press * ground.displaced(edge, dy, dx)
    return np.clip((1.0 - left) * (0.95 + 0.10 * tooth), 0.0, 0.9)
