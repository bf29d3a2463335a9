"""Weights that do nothing: A1111's "Ignore"."""

from __future__ import annotations

from sfumato.element import element
from sfumato.emphasis.emphasis import Emphasis
from sfumato.lazy import Tensor


@element("ignored")
class Ignored(Emphasis):
    """z <- z: brackets are read, and what they say of weights is left out."""

    said = "Ignore"

    def weighed(self, embeds: Tensor, weights: Tensor, empty: Tensor | None) -> Tensor:
        return embeds
