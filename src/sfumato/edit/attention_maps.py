"""Cross-attention maps, gathered while a network works: where each word of a prompt is painted."""

from __future__ import annotations

from sfumato.lazy import Tensor
from sfumato.picture import BadInput


class AttentionMaps:
    """A watcher for `condition.Watched`: the maps of every row, averaged over heads, layers and all calls so far.

    Of the layers, those count that are finest among maps of at most within x within places: coarser ones blur them.
    Those at every place of what the network sees are of texture more than of things, and count where there are no
    others.
    """

    def __init__(self, within: int = 16) -> None:
        self.within = within
        self._sums: dict[int, Tensor] = {}
        self._counts: dict[int, int] = {}

    def __call__(self, slots: Tensor, maps: Tensor) -> None:
        """slots (R,) are the rows 0 ... R - 1, in order; maps (R, places, L)."""
        places = maps.shape[1]
        self._sums[places] = self._sums.get(places, 0) + maps
        self._counts[places] = self._counts.get(places, 0) + 1

    @property
    def tokens(self) -> int:
        """L, the number of places of the text."""
        return self._finest(0).shape[-1]

    def of(self, words: Tensor, size: tuple[int, int]) -> Tensor:
        """The maps (R, W, h, w) of words, each the sum of its tokens' maps; words (R, W, L) marks them with 1.

        `size` is the height and width of what the network sees (latents, say), which a map has a fraction of.
        """
        mean = self._finest(size[0] * size[1])
        factor = round((size[0] * size[1] / mean.shape[1]) ** 0.5)
        height = -(-size[0] // factor)
        return (words.to(mean) @ mean.transpose(1, 2)).unflatten(-1, (height, -1))

    def _finest(self, whole: int) -> Tensor:
        """(R, places, L). whole: all places of what the network sees."""
        if not self._sums:
            raise BadInput("No attention map has been seen: the network has no cross-attention, or was not called.")
        fitting = [places for places in self._sums if places <= self.within**2]
        fitting = [places for places in fitting if places != whole] or fitting
        places = max(fitting) if fitting else min(self._sums)
        return self._sums[places] / self._counts[places]
