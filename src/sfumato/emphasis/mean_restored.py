"""Weights that multiply, and a mean that stays: A1111's "Original"."""

from __future__ import annotations

from sfumato.element import element
from sfumato.emphasis.emphasis import Emphasis
from sfumato.lazy import Tensor, torch


@element("mean-restored")
class MeanRestored(Emphasis):
    """z <- w z, then each chunk times mean(before) / mean(after), the mean over its tokens and channels.

    A mean within a hundredth of the mean magnitude is a remainder of cancellation, as small encoders have it, and no
    measure of scale: such a chunk is not scaled.
    """

    def weighed(self, embeds: Tensor, weights: Tensor, empty: Tensor | None) -> Tensor:
        scaled = embeds * weights[..., None]
        before, after = (x.mean((1, 2), keepdim=True) for x in (embeds, scaled))
        measured = before.abs() > 0.01 * embeds.abs().mean((1, 2), keepdim=True)
        return scaled * torch.where(measured, before / torch.where(measured, after, 1), 1)
