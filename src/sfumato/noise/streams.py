"""Noise as other tools draw it: one stream of numbers a picture, each draw whatever comes next."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sfumato.lazy import Tensor, torch
from sfumato.noise.source import Key

Stream = Callable[[tuple[int, ...]], Tensor]
"""The next numbers of a stream, in a shape: float32 on the CPU."""


class Streams:
    """The noise of a batch out of one stream a picture: a key that is asked for the first time takes the next draw,
    one that was asked before gets its draw again.

    So a picture's noise depends on what was asked before, in which order: it equals another tool's where the same is
    asked in the same order, as from the first latents through the steps of a sampler. Pictures of a batch don't
    disturb each other.

    Raises ValueError if `like` has another number of rows than there are streams.
    """

    def __init__(
        self,
        streams: Sequence[Stream],
        drawn: dict[tuple[Key, ...], Tensor] | None = None,
        prefix: tuple[Key, ...] = (),
    ) -> None:
        self.streams, self.prefix = tuple(streams), prefix
        self.drawn: dict[tuple[Key, ...], Tensor] = {} if drawn is None else drawn

    def __call__(self, like: Tensor, *key: Key) -> Tensor:
        if like.ndim < 1 or len(like) != len(self.streams):
            raise ValueError(f"Noise for {len(self.streams)} streams was asked in the shape {tuple(like.shape)}.")
        whole = (*self.prefix, *key)
        if whole not in self.drawn:
            self.drawn[whole] = torch.stack([stream(tuple(like.shape[1:])) for stream in self.streams])
        return self.drawn[whole].to(device=like.device, dtype=like.dtype)

    def at(self, *key: Key) -> Streams:
        return Streams(self.streams, self.drawn, (*self.prefix, *key))


def shifted(begin: Callable[[int], Stream], seed: int, delta: int) -> Stream:
    """The stream of a seed, of which all draws but the first come from the stream of seed + delta: A1111's "eta noise
    seed delta" (ENSD). delta = 0 is one stream."""
    if delta == 0:
        return begin(seed)
    streams = [begin(seed + delta), begin(seed)]
    return lambda shape: (streams.pop() if len(streams) > 1 else streams[0])(shape)
