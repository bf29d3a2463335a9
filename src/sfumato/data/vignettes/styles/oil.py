"""Oil: layers of oriented strokes, coarse to fine, and a low light over their relief.

After Hertzmann, "Painterly rendering with curved brush strokes of multiple sizes" (1998), with the orientation field
of Litwinowicz, "Processing images and video for an impressionist effect" (1997).
"""

from __future__ import annotations

import numpy as np

from . import brush, flow, ground

# spacing, length (units of the hand), length over width, spread of the mixed colours, turn of the wrist (radians)
_LAYERS = ((5.0, 14.0, 2.6, 0.060, 0.16), (3.2, 8.5, 2.9, 0.055, 0.12))
_TOUCHES = ((1.6, 3.6, 0.25), (1.3, 2.5, 0.6))  # spacing, length, how much of a border they are for


def oil(picture: np.ndarray, instance: np.ndarray, depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    height, width = instance.shape
    u = ground.hand(height, width)
    colour = ground.to_float(picture)
    seen = flow.squint(colour, instance, depth)
    fine = min(1.0, 0.6 * u)  # small sheets carry less texture
    rest = 0.55 * ground.shifted(ground.noise(*seen.light.shape, 26.0, 3), rng) - 0.3
    angle = flow.along_shapes(seen, rest)

    canvas = brush.Canvas(picture)
    for spacing, length, aspect, spread, wrist in _LAYERS:
        at = brush.grid(height, width, spacing * u, 1.0, rng)
        busy = brush.look(seen.detail, at, seen.factor)
        turn = brush.look(angle, at, seen.factor) + wrist * (1 - busy) * rng.standard_normal(len(at))
        size = length * u * (1.0 - 0.66 * busy)
        canvas.stroke(
            at,
            turn,
            size,
            _mixed(brush.look(colour, at), spread * (0.5 + 0.5 * fine) * (1 - 0.55 * busy[:, None]), rng),
            aspect,
        )
    for spacing, length, border in _TOUCHES:
        at = brush.grid(height, width, spacing * u, 0.9, rng)
        at = at[brush.look(seen.edge, at, seen.factor) > border]
        turn = brush.look(angle, at, seen.factor)
        canvas.stroke(
            at, turn, np.full(len(at), length * u), _mixed(brush.look(colour, at), np.array(0.025), rng), 3.0, 0.6
        )

    painted = ground.to_float(canvas.pixels())
    painted += (0.5 * seen.line)[..., None] * (colour - painted)
    return ground.to_bytes(painted + fine * _relief(painted, colour, u)[..., None])


def _mixed(colour: np.ndarray, spread: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Colours as they come off a palette: a little lighter or darker, a little warmer or cooler."""
    light = spread * rng.standard_normal((len(colour), 1))
    warmth = 0.35 * spread * rng.standard_normal((len(colour), 1)) * np.array([1.0, 0.1, -1.0])
    return np.clip(colour * (1.0 + light + warmth), 0.0, 1.0)


def _relief(painted: np.ndarray, colour: np.ndarray, u: float) -> np.ndarray:
    """Light from the upper left on the paint's own unevenness (not on the picture's)."""
    bump = ground.luminance(painted) - ground.luminance(colour)
    step = max(1, round(0.7 * u))
    shade = np.zeros_like(bump)
    shade[step:, step:] = bump[step:, step:] - bump[:-step, :-step]
    return np.clip(0.5 * shade, -0.07, 0.07)
