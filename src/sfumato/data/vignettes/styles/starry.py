"""Starry night: thick dashes that swirl round glowing stars in a sky of blues and yellows, dark outlines in front."""

from __future__ import annotations

import numpy as np

from . import brush, flow, ground

_TONES = np.array([0.0, 0.35, 0.6, 0.85, 1.0])
_BLUES = np.array([[12, 18, 64], [24, 52, 136], [50, 104, 190], [110, 164, 214], [196, 216, 218]], np.float32) / 255
_YELLOW = np.array([0.99, 0.82, 0.26], np.float32)
_PRUSSIAN = np.array([0.06, 0.08, 0.20], np.float32)
_LAYERS = ((3.1, 9.0, 0.09), (2.4, 6.0, 0.08))  # spacing, length (units of the hand), spread of lightness


def starry(picture: np.ndarray, instance: np.ndarray, depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    height, width = instance.shape
    u = ground.hand(height, width)
    colour = ground.to_float(picture)
    seen = flow.squint(colour, instance, depth)
    far = ground.smoothstep(0.72, 0.96, seen.depth)
    current, glow, bands = _sky(far, rng)
    angle = flow.along_shapes(seen, current, 2.0)
    calm = far * (1 - seen.detail)
    angle = _blend(angle, current, calm)

    near = ground.saturate(seen.colour, 1.12)
    light = np.clip(seen.light * 0.92 + 0.10 * bands, 0.0, 1.0)
    cold = near + far[..., None] * (0.78 * _blues(light) + 0.22 * seen.colour - near)
    flame = near + far[..., None] * (0.5 * seen.colour + 0.5 * _YELLOW * (0.45 + 0.55 * light[..., None]) - near)
    flame += (far * glow)[..., None] * (_YELLOW * 0.9 + 0.35 * glow[..., None] ** 2 - flame)
    warm = np.clip(1.3 * (seen.colour[..., 0] - seen.colour[..., 2]) + 0.05, 0.0, 0.8)
    chance = far * np.maximum(warm, 1.15 * glow)

    short = (1 - 0.55 * seen.detail) * (1 - 0.5 * far * glow)
    rank = np.clip(0.5 + 0.22 * bands, 0.0, 1.0)
    under = 0.85 * (cold + (far * glow)[..., None] ** 2 * (flame - cold))
    canvas = brush.Canvas(ground.to_bytes(under).repeat(seen.factor, 0).repeat(seen.factor, 1)[:height, :width])
    for spacing, length, spread in _LAYERS:
        at = brush.grid(height, width, spacing * u, 0.9, rng)
        size = length * u * brush.look(short, at, seen.factor)
        pick = 0.65 * brush.look(rank, at, seen.factor) + 0.35 * rng.random(len(at))
        lit = pick < brush.look(chance, at, seen.factor)
        dash = np.where(lit[:, None], brush.look(flame, at, seen.factor), brush.look(cold, at, seen.factor))
        dash = dash * (1.0 + spread * rng.standard_normal((len(at), 1)))
        canvas.stroke(at, brush.look(angle, at, seen.factor), size, dash, 3.6)
    painted = ground.to_float(canvas.pixels())
    painted += ((0.35 + 0.2 * (depth > 0.9)) * seen.line)[..., None] * (colour - painted)
    line = 0.8 * _outline(instance, ground.unit(height, width)) * (1.0 - 0.8 * ground.smoothstep(0.6, 0.9, depth))
    return ground.to_bytes(painted + line[..., None] * (_PRUSSIAN - painted))


def _blues(light: np.ndarray) -> np.ndarray:
    return np.stack([np.interp(light, _TONES, _BLUES[:, c]) for c in range(3)], -1).astype(np.float32)


def _outline(instance: np.ndarray, u: float) -> np.ndarray:
    """Borders between things, drawn on the inner side only: lines of about a unit that leave small things open."""
    line = np.zeros(instance.shape, np.float32)
    line[:, 1:] = instance[:, 1:] != instance[:, :-1]
    np.maximum(line[1:], instance[1:] != instance[:-1], out=line[1:])
    return np.clip(ground.blur(line, 0.42 * u) * (0.95 * u), 0.0, 1.0)


def _blend(first: np.ndarray, second: np.ndarray, weight: np.ndarray) -> np.ndarray:
    mixed = flow.doubled(first) * (1 - weight)[..., None] + flow.doubled(second) * weight[..., None]
    return 0.5 * np.arctan2(mixed[..., 1], mixed[..., 0])


def _sky(far: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Stroke angles, glow and bands of light (h, w each) of a sky with three to five stars, a whirl around each."""
    h, w = far.shape
    y, x = np.arange(h, dtype=np.float32)[:, None], np.arange(w, dtype=np.float32)[None, :]
    wave = 0.45 * ground.shifted(ground.noise(h, w, 18.0, 71), rng)
    flow_x, flow_y = 0.35 * np.cos(wave), 0.35 * np.sin(wave)
    bands = ground.shifted(ground.noise(h, w, 2.6, 72, 7.0), rng).copy()
    glow = np.zeros((h, w), np.float32)
    open_sky = np.cumsum(((far > 0.95) * np.linspace(1.5, 0.5, h)[:, None]).ravel())
    count = int(rng.integers(3, 6))
    for k, (place, large, spin) in enumerate(rng.random((5, 3)).tolist()):
        if k >= count or open_sky[-1] <= 0:
            break
        at = int(np.searchsorted(open_sky, (k + place) / count * open_sky[-1]))
        size = 1.5 + 1.3 * large
        dy, dx = y - at // w, x - at % w
        r = np.sqrt(dx * dx + dy * dy) + 1e-3
        pull = np.exp(-((r / (4.2 * size)) ** 2))
        turn = pull * (2.0 if spin < 0.5 else -2.0) / r
        flow_x -= turn * dy
        flow_y += turn * dx
        bands += 1.6 * pull * np.cos(r * (2 * np.pi / (1.55 * size)))
        halo = np.exp(-((r / (1.15 * size)) ** 4)) + 0.45 * np.exp(-(((r - 2.5 * size) / (0.55 * size)) ** 2))
        np.maximum(glow, halo, out=glow)
    return np.arctan2(flow_y, flow_x), np.minimum(glow, 1.0), bands
