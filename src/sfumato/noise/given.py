"""First latents that are given as numbers."""

from __future__ import annotations

from collections.abc import Sequence

from sfumato.lazy import Tensor
from sfumato.noise.keyed import Keyed
from sfumato.noise.source import Key, NoiseSource, Randomness
from sfumato.picture.errors import BadInput


class Latents(Randomness):
    """The first noise of one picture is `first` (C, h, w); all later noise is that of `then`.

    A recipe with it runs and can't be read again: it holds no tensors.
    """

    def __init__(self, first: Tensor, then: Randomness | None = None) -> None:
        self.first, self.then = first, then or Keyed()

    def source(self, seeds: Sequence[int]) -> NoiseSource:
        return _Begun(self.first, self.then.source(seeds))


class _Begun:
    def __init__(self, first: Tensor, then: NoiseSource, prefix: tuple[Key, ...] = ()) -> None:
        self.first, self.then, self.prefix = first, then, prefix

    def __call__(self, like: Tensor, *key: Key) -> Tensor:
        if (*self.prefix, *key) != ("start",):
            return self.then(like, *key)
        if tuple(like.shape[1:]) != tuple(self.first.shape):
            shapes = (" x ".join(map(str, shape)) for shape in (self.first.shape, like.shape[1:]))
            raise BadInput("The latents are {} and the model's are {} at this size.".format(*shapes))
        return self.first.to(device=like.device, dtype=like.dtype).expand_as(like)

    def at(self, *key: Key) -> _Begun:
        return _Begun(self.first, self.then.at(*key), (*self.prefix, *key))
