"""Watercolour: pigment in glazes over white paper, which bleeds inside a shape and gathers at its rim.

Pigment follows Bousseau et al., "Interactive watercolor rendering with temporal coherence and abstraction" (2006):
its density d changes the colour c of the paper to c^d, so more pigment is deeper and less is nearer to white.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from . import ground


def watercolour(picture: np.ndarray, instance: np.ndarray, depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    height, width = instance.shape
    u, fine = ground.unit(height, width), ground.hand(height, width, 0.6)
    colour = ground.saturate(ground.to_float(picture), 1.2)
    wash = _bleed(colour, u)
    edge = ground.edges(colour, instance, fine)

    pools = ground.shifted(ground.noise(height, width, 13.0, 21), rng)
    blooms = ground.shifted(ground.noise(height, width, 6.0, 22), rng)
    tooth = ground.shifted(ground.tooth(height, width), rng)
    near = ground.blur(edge, 1.3 * fine)
    rim = np.clip(1.6 * near - 0.9 * edge, 0.0, 1.0)
    gap = ground.sparse(edge, fine) * ground.smoothstep(0.2, 1.2, blooms)
    density = np.clip(0.74 + 0.15 * pools + 0.10 * np.abs(blooms) + 0.75 * rim, 0.4, 1.6) * (1.0 - 0.55 * gap)

    dy = 0.40 * u * ground.shifted(ground.noise(height, width, 4.5, 24), rng)
    dx = 0.40 * u * ground.shifted(ground.noise(height, width, 4.5, 25), rng)
    layer = ground.displaced(np.concatenate([wash, density[..., None]], -1), dy, dx)
    tint = layer[..., :3]
    grains = 1.0 + 0.13 * tooth * (1.3 - ground.luminance(tint))
    density = layer[..., 3] * grains * _margin(height, width, pools, blooms)
    paper = (0.985 + 0.010 * tooth)[..., None]
    pigment = np.exp(np.log(np.maximum(tint, 0.03)) * density[..., None])
    return ground.to_bytes(paper * pigment)


def _bleed(colour: np.ndarray, u: float) -> np.ndarray:
    """Wet in wet: an edge-avoiding a-trous blur (steps of 1, 2, 4 units), which stops where the colour changes."""
    for reach in (1, 2, 4):
        step = max(1, round(reach * u))
        total, weight = colour.copy(), np.ones(colour.shape[:2], np.float32)
        for axis in (0, 1):
            near = (slice(None, -step), slice(None)) if axis == 0 else (slice(None), slice(None, -step))
            far = (slice(step, None), slice(None)) if axis == 0 else (slice(None), slice(step, None))
            apart = colour[near] - colour[far]
            w = np.exp(-60.0 * np.einsum("ijc,ijc->ij", apart, apart))
            total[near] += w[..., None] * colour[far]
            total[far] += w[..., None] * colour[near]
            weight[near] += w
            weight[far] += w
        colour = total / weight[..., None]
    return colour


@lru_cache(maxsize=8)
def _border_distance(height: int, width: int) -> np.ndarray:
    y, x = np.arange(height) + 0.5, np.arange(width) + 0.5
    y, x = np.minimum(y, height - y)[:, None], np.minimum(x, width - x)[None, :]
    inner = np.minimum(y, x) - 0.5 * np.exp(-np.abs(y - x) / 4)
    return (inner / ground.unit(height, width)).astype(np.float32)


def _margin(height: int, width: int, pools: np.ndarray, blooms: np.ndarray) -> np.ndarray:
    """Pigment runs out raggedly towards the sheet's border, with a last darker rim."""
    distance = _border_distance(height, width) + 0.55 * pools + 0.6 * blooms
    return ground.smoothstep(1.4, 3.6, distance) * (1.0 + 0.22 * np.exp(-((distance - 4.0) ** 2)))
