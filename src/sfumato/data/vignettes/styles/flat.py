"""Flat: poster colours on a paper whose grain one can only just see."""

from __future__ import annotations

import numpy as np

from . import ground


def flat(picture: np.ndarray, instance: np.ndarray, depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    grain = ground.shifted(ground.noise(*instance.shape, 1.0, 11), rng)
    return ground.to_bytes(ground.to_float(picture) * (1.0 + 0.008 * grain)[..., None])
