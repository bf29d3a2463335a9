"""Everything random in training is a function of (seed, step): nothing to save, nothing to lose."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch


def key(*parts: object) -> int:
    """A 63-bit number that depends on every part, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest(), "big") >> 1


def generator(*parts: object) -> torch.Generator:
    """A generator on the CPU seeded by the parts: (seed, step, rank, ...)."""
    return torch.Generator().manual_seed(key(*parts))


def choice(n: int, *parts: object) -> int:
    """A number in 0..n-1 that depends on the parts."""
    return key(*parts) % n


@lru_cache(maxsize=4)
def permutation(seed: int, epoch: int, n: int) -> np.ndarray:
    """The order of the n examples in an epoch."""
    return np.random.default_rng(key(seed, "epoch", epoch)).permutation(n)


def batch(seed: int, number: int, size: int, n: int) -> np.ndarray:
    """Indices of batch `number` of the endless stream of shuffled epochs; batches cross the end of an epoch."""
    places = np.arange(number * size, (number + 1) * size)
    epochs = places // n
    return np.concatenate([permutation(seed, int(e), n)[places[epochs == e] % n] for e in np.unique(epochs)])


def bucketed_batch(seed: int, number: int, size: int, counts: Sequence[int]) -> np.ndarray:
    """Indices of batch `number` where examples are numbered through buckets of `counts`, all of one bucket.

    A stream of shuffled epochs over all examples says whose turn it is, and that one's bucket goes on in a stream of
    its own: in as many batches as there are examples each of them comes `size` times. With one bucket it is `batch`.
    """
    n = sum(counts)
    if len(counts) == 1:
        return batch(seed, number, size, n)
    of = np.repeat(np.arange(len(counts)), counts)
    turns = of[permutation(key(seed, "turns"), number // n, n)]
    bucket = int(turns[number % n])
    before = number // n * counts[bucket] + int((turns[: number % n] == bucket).sum())
    within = batch(key(seed, "bucket", bucket), before, size, counts[bucket])
    return within + int(np.sum(counts[:bucket]))
