"""The noise of CUDA's generator, computed on the CPU: what A1111's web page draws on a GPU, which is its default.

Philox 4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") turns a counter of four 32-bit words
and a key of two into four random words. Element i of the n-th draw has the counter (n, 0, i, 0) and the seed as its
key; its first two words make a normal number by Box and Muller's transform. This is `torch.randn` on a CUDA device
for pictures' latents, up to the last bits of a logarithm.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from pydantic import Field

from sfumato.element import Whole, element
from sfumato.lazy import Tensor, torch
from sfumato.noise.source import Randomness
from sfumato.noise.streams import Stream, Streams, shifted
from sfumato.noise.torch_noise import DELTA

MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
LOW, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


def philox(counter: Any, key: tuple[int, int]) -> Any:
    """Philox 4x32-10 of counters (4, n) under one key: (4, n) words, as uint64."""
    a, b, c, d = np.asarray(counter, dtype=np.uint64)
    for turn in range(ROUNDS):
        first, second = (np.uint64((word + turn * weyl) & 0xFFFFFFFF) for word, weyl in zip(key, WEYL, strict=True))
        left, right = a * MULTIPLIERS[0], c * MULTIPLIERS[1]
        a, b, c, d = (right >> HALF) ^ b ^ first, right & LOW, (left >> HALF) ^ d ^ second, left & LOW
    return np.stack([a, b, c, d])


def normal(first: Any, second: Any) -> Any:
    """sqrt(-2 log u) sin(2 pi v), u and v in (0, 1): the middles of 2^32 equal parts (Box & Muller 1958)."""
    u, v = ((word.astype(np.float64) + 0.5) * 2.0**-32 for word in (first, second))
    return (np.sqrt(-2 * np.log(u)) * np.sin(2 * np.pi * v)).astype(np.float32)


def philox_stream(seed: int) -> Stream:
    """Normal numbers as CUDA's generator draws them."""
    key = (seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF)
    calls = iter(range(2**32))

    def draw(shape: tuple[int, ...]) -> Tensor:
        counter = np.zeros((4, prod(shape)), dtype=np.uint64)
        counter[0], counter[2] = next(calls), np.arange(prod(shape), dtype=np.uint64)
        words = philox(counter, key)
        return torch.from_numpy(normal(words[0], words[1]).reshape(shape))

    return draw


@element("a1111-gpu")
class A1111GpuNoise(Randomness):
    """A1111's web page with its random numbers from a GPU, as it is installed ("RNG: NV" says the same). eta_delta: its
    ENSD, which is added to the seed for all draws but the first."""

    eta_delta: Whole = Field(default=0, ge=0, lt=2**31, description=DELTA)

    def source(self, seeds: Sequence[int]) -> Streams:
        return Streams([shifted(philox_stream, seed, self.eta_delta) for seed in seeds])

    def infotext(self) -> dict[str, str]:
        return {"RNG": "NV"} | ({"ENSD": str(self.eta_delta)} if self.eta_delta else {})
