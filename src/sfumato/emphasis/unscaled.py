"""Weights that multiply, and nothing else: A1111's "No norm"."""

from __future__ import annotations

from sfumato.element import element
from sfumato.emphasis.emphasis import Emphasis
from sfumato.lazy import Tensor


@element("unscaled")
class Unscaled(Emphasis):
    """z <- w z. For models whose embeddings have a mean near 0, as Stable Diffusion XL's, which restoring it would blow
    up."""

    said = "No norm"

    def weighed(self, embeds: Tensor, weights: Tensor, empty: Tensor | None) -> Tensor:
        return embeds * weights[..., None]
