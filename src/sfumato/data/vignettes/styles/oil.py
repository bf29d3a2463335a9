"""Oil: layers of oriented strokes, coarse to fine, and a low light over their relief.

After Hertzmann, "Painterly rendering with curved brush strokes of multiple sizes" (1998), with the orientation field
of Litwinowicz, "Processing images and video for an impressionist effect" (1997).
"""

from __future__ import annotations

import numpy as np

from . import brush, flow, ground


def oil(picture: np.ndarray, instance: np.ndarray, depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    height, width = instance.shape
    u = ground.unit(height, width)
    colour = ground.to_float(picture)
    seen = flow.squint(colour, instance, depth)
    rest = 0.9 * ground.shifted(ground.noise(*seen.light.shape, 22.0, 3), rng) - 0.35
    angle = flow.along_shapes(seen, rest)

    canvas = brush.Canvas(picture)
    for spacing, length, aspect, spread in ((4.6, 13.0, 2.4, 0.07), (3.0, 8.0, 2.8, 0.06)):
        at = brush.grid(height, width, spacing * u, 1.0, rng)
        busy = brush.look(seen.detail, at, seen.factor)
        size = length * u * (1.0 - 0.62 * busy)
        turn = brush.look(angle, at, seen.factor) + 0.22 * (1 - busy) * rng.standard_normal(len(at))
        canvas.stroke(at, turn, size, _mixed(brush.look(colour, at), spread, rng), aspect)
    at = brush.grid(height, width, 1.5 * u, 0.9, rng)
    edge = brush.look(seen.edge, at, seen.factor)
    keep = edge > 0.3
    at = at[keep]
    turn = brush.look(angle, at, seen.factor)
    canvas.stroke(at, turn, np.full(len(at), 4.2 * u), _mixed(brush.look(colour, at), 0.03, rng), 3.0, 0.6)

    painted = ground.to_float(canvas.pixels())
    fine = 0.35 * ground.edges(colour, instance, u)[..., None]
    painted += fine * (colour - painted)
    return ground.to_bytes(painted + _relief(painted, colour, u)[..., None])


def _mixed(colour: np.ndarray, spread: float, rng: np.random.Generator) -> np.ndarray:
    """Colours as they come off a palette: a little lighter or darker, a little warmer or cooler."""
    light = spread * rng.standard_normal((len(colour), 1))
    warmth = 0.35 * spread * rng.standard_normal((len(colour), 1)) * np.array([1.0, 0.1, -1.0])
    return np.clip(colour * (1.0 + light + warmth), 0.0, 1.0)


def _relief(painted: np.ndarray, colour: np.ndarray, u: float) -> np.ndarray:
    """Light from the upper left on the paint's own unevenness (not on the picture's)."""
    bump = ground.luminance(painted) - ground.luminance(colour)
    step = max(1, round(0.8 * u))
    shade = bump - np.roll(bump, (step, step), (0, 1))
    shade[:step] = 0
    shade[:, :step] = 0
    return np.clip(0.5 * shade, -0.08, 0.08)
