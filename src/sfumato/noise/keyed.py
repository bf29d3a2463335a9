"""Noise as a function of (the picture's seed, what it is for): no stream, so nobody can disturb anybody's draws.

A hold that draws from the sampler's stream makes an empty mask change the picture; a batch that draws at once makes a
picture depend on its neighbours. Here every draw names its picture's seed and its key, such as ("step", 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from sfumato.element import element
from sfumato.lazy import Tensor, torch
from sfumato.noise.source import Key, Randomness


class KeyedNoise:
    """The noise of a batch: one seed a picture.

    Each row is drawn in float32 on the CPU from a counter-based generator (Philox) whose 128-bit key is the hash
    of (seed, *key), then cast: the same on every device and in every precision, and picture n of a batch equals the
    same picture alone. (torch's CPU generator keeps 32 bits of its seed and draws sizes below 16 in another order.)

    Raises ValueError if `like` has another number of rows than there are seeds.
    """

    def __init__(self, seeds: Sequence[int], prefix: tuple[Key, ...] = ()) -> None:
        self.seeds = tuple(int(seed) for seed in seeds)
        self.prefix = prefix

    def __call__(self, like: Tensor, *key: Key) -> Tensor:
        if like.ndim < 1 or len(like) != len(self.seeds):
            raise ValueError(f"Noise for {len(self.seeds)} seeds was asked in the shape {tuple(like.shape)}.")
        shape = tuple(like.shape[1:])
        rows = np.empty((len(self.seeds), *shape), dtype=np.float32)
        for row, seed in enumerate(self.seeds):
            philox = np.random.Philox(key=_hash(seed, *self.prefix, *key))
            rows[row] = np.random.Generator(philox).standard_normal(shape, dtype=np.float32)
        return torch.from_numpy(rows).to(device=like.device, dtype=like.dtype)

    def at(self, *key: Key) -> KeyedNoise:
        return KeyedNoise(self.seeds, (*self.prefix, *key))

    def __repr__(self) -> str:
        return f"KeyedNoise(seeds={list(self.seeds)}, prefix={self.prefix})"


@element("keyed")
class Keyed(Randomness):
    """Sfumato's own: every draw is a function of the seed and of what it is for, so that no use disturbs another."""

    def source(self, seeds: Sequence[int]) -> KeyedNoise:
        return KeyedNoise(seeds)


def _hash(*key: Key) -> int:
    """128 bits of the key; 1 and "1" differ, and so do ("a", "b") and ("ab",)."""
    for part in key:
        if not isinstance(part, str | int):
            raise TypeError(f"A noise key is made of strings and whole numbers, not {type(part).__name__}.")
    return int.from_bytes(blake2b(repr(key).encode(), digest_size=16).digest(), "little")
