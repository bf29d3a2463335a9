"""Weights that lead away from a text of no words: ComfyUI's."""

from __future__ import annotations

from sfumato.element import element
from sfumato.emphasis.emphasis import Emphasis
from sfumato.lazy import Tensor, torch


@element("from-empty")
class FromEmpty(Emphasis):
    """z <- z_0 + w (z - z_0), z_0 the embedding of the same place in an empty text: w = 0 says as much as no word, and
    beyond 1 goes on from there.

    A chunk that is full ends where it is full, and not at a comma; words in brackets of fewer than 8 tokens stand in
    one chunk.
    """

    compares = True
    together = 8

    def weighed(self, embeds: Tensor, weights: Tensor, empty: Tensor | None) -> Tensor:
        if empty is None:  # no word weighs more or less
            return embeds
        w = weights[..., None]
        return torch.where(w == 1, embeds, empty + w * (embeds - empty))
