"""What a source of noise is, and how a recipe names one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sfumato.element import Element
from sfumato.lazy import Tensor

Key = str | int


class NoiseSource(Protocol):
    """Standard normal noise, a function of (seed of the picture, key)."""

    def __call__(self, like: Tensor, *key: Key) -> Tensor:
        """Noise in the shape, dtype and device of `like` (B, ...): row b depends on seed b and the key alone."""
        ...

    def at(self, *key: Key) -> NoiseSource:
        """The same source with `key` put before every key asked of it."""
        ...


class Randomness(Element, kinds="noise source", package="sfumato.noise"):
    """Which noise a recipe's seed stands for, as a value: `source([seed, ...])` draws it."""

    def source(self, seeds: Sequence[int]) -> NoiseSource:
        """The noise of a batch: one seed a picture."""
        raise NotImplementedError
