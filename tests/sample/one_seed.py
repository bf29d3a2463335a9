"""Many rows from one seed: for statistics over thousands of samples."""

from __future__ import annotations

from torch import Tensor

from sfumato.noise import KeyedNoise


class OneSeed:
    """Noise for any number of rows, all drawn together under one seed."""

    def __init__(self, seed: int = 0, key: tuple = ()) -> None:
        self.seed, self.key = seed, key

    def at(self, *key) -> OneSeed:
        return OneSeed(self.seed, (*self.key, *key))

    def __call__(self, like: Tensor, *key) -> Tensor:
        return KeyedNoise([self.seed])(like[None], *self.key, *key)[0]
