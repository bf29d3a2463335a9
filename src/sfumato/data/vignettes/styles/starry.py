"""Starry night: thick dashes that swirl round glowing stars in a sky of blues and yellows, dark outlines in front."""

from __future__ import annotations

import numpy as np

from . import brush, flow, ground

_TONES = np.array([0.0, 0.35, 0.6, 0.85, 1.0])
_BLUES = np.array([[10, 16, 56], [22, 50, 128], [52, 104, 184], [124, 172, 212], [226, 228, 196]]) / 255.0
_YELLOW = np.array([0.98, 0.80, 0.25])
_PRUSSIAN = np.array([0.06, 0.08, 0.20], np.float32)


def starry(picture: np.ndarray, instance: np.ndarray, depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    height, width = instance.shape
    u = ground.unit(height, width)
    colour = ground.to_float(picture)
    seen = flow.squint(colour, instance, depth)
    far = ground.smoothstep(0.55, 0.85, seen.depth)
    angle, glow = _sky(far, rng)
    angle = _blend(flow.along_shapes(seen, angle, 2.0), angle, far * (1 - seen.detail))
    near = ground.saturate(seen.colour, 1.12)
    target = near + far[..., None] * (_night(seen.colour, seen.light) - near)
    target += (far * glow)[..., None] * (_YELLOW + 0.25 * np.clip(glow - 0.75, 0, 1)[..., None] * 4 - target)

    canvas = brush.Canvas(ground.to_bytes(target.repeat(seen.factor, 0).repeat(seen.factor, 1)[:height, :width] * 0.8))
    for spacing, length, spread in ((2.9, 8.0, 0.13), (2.3, 5.6, 0.10)):
        at = brush.grid(height, width, spacing * u, 0.9, rng)
        busy = brush.look(seen.detail, at, seen.factor) * (1 - 0.5 * brush.look(far, at, seen.factor))
        dash = brush.look(target, at, seen.factor)
        lift = 1.0 + spread * rng.standard_normal((len(at), 1))
        canvas.stroke(
            at, brush.look(angle, at, seen.factor), length * u * (1 - 0.5 * busy), np.clip(dash * lift, 0, 1), 3.6, 1.0
        )
    painted = ground.to_float(canvas.pixels())
    line = ground.edges(colour, instance, u)
    far_full = ground.smoothstep(0.55, 0.85, depth)
    line = 0.72 * line * (1.0 - 0.75 * far_full)
    return ground.to_bytes(painted + line[..., None] * (_PRUSSIAN - painted))


def _night(colour: np.ndarray, light: np.ndarray) -> np.ndarray:
    blue = np.stack([np.interp(light, _TONES, _BLUES[:, c]) for c in range(3)], -1)
    warm = np.clip(1.6 * (colour[..., 0] - colour[..., 2]), 0.0, 1.0)[..., None] * 0.8
    return blue + warm * (_YELLOW * (0.35 + 0.65 * light[..., None]) - blue)


def _blend(first: np.ndarray, second: np.ndarray, weight: np.ndarray) -> np.ndarray:
    mixed = flow.doubled(first) * (1 - weight)[..., None] + flow.doubled(second) * weight[..., None]
    return 0.5 * np.arctan2(mixed[..., 1], mixed[..., 0])


def _sky(far: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Stroke angles and glow (h, w) of a sky with three to five stars, each with a whirl around it."""
    h, w = far.shape
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    wave = 0.35 * ground.shifted(ground.noise(h, w, 20.0, 71), rng)
    current = np.stack([np.cos(wave), np.sin(wave)], -1) * 0.35
    glow = np.zeros((h, w), np.float32)
    weight = (far > 0.6) * np.linspace(1.6, 0.4, h)[:, None]
    chance = np.cumsum(weight.ravel())
    draws = rng.random((5, 3))
    for place, radius, _ in draws[: int(rng.integers(3, 6))]:
        if chance[-1] <= 0:
            break
        cy, cx = divmod(int(np.searchsorted(chance, place * chance[-1])), w)
        size = 1.4 + 1.5 * radius
        dy, dx = y - cy, x - cx
        r = np.hypot(dx, dy) + 1e-3
        pull = np.exp(-((r / (4.5 * size)) ** 2))[..., None]
        current += pull * np.stack([-dy / r, dx / r], -1) * 2
        ring = np.exp(-((r / size) ** 2)) + 0.45 * np.exp(-(((r - 2.3 * size) / (0.45 * size)) ** 2))
        glow = np.maximum(glow, ring.astype(np.float32))
    return np.arctan2(current[..., 1], current[..., 0]), np.clip(glow, 0, 1)
