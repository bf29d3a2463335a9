"""Random choices that depend only on (seed, index, name): each element of a scene throws its own dice."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


class Dice:
    """A Philox stream keyed by (seed, index) and started at a place of the counter named by `name`.

    Uses nothing of numpy but uniform doubles, whose stream is fixed, so that scenes outlive numpy's versions.
    """

    def __init__(self, seed: int, index: int, name: str):
        mask = (1 << 64) - 1
        bits = np.random.Philox(key=[seed & mask, index & mask], counter=[0, 0, 0, zlib.crc32(name.encode())])
        self.generator = np.random.Generator(bits)
        self.random = self.generator.random

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.random()

    def around(self, centre: float, spread: float) -> float:
        """Triangular on centre ± spread: most throws lie near the centre."""
        return centre + spread * (self.random() + self.random() - 1.0)

    def chance(self, probability: float) -> bool:
        return self.random() < probability

    def choose(self, options: Sequence[T]) -> T:
        return options[int(self.random() * len(options))]

    def weighted(self, options: Sequence[T], weights: Sequence[float]) -> T:
        target = self.random() * sum(weights)
        for option, weight in zip(options, weights, strict=True):
            target -= weight
            if target < 0:
                return option
        return options[-1]

    def shuffled(self, options: Sequence[T]) -> list[T]:
        rest = list(options)
        return [rest.pop(int(self.random() * len(rest))) for _ in range(len(rest))]
