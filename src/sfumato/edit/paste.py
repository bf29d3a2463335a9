"""Pasting: outside the mask, the saved picture equals the input to the byte."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sfumato.edit.composite import Composite, Pictures, each_within
from sfumato.element import element
from sfumato.lazy import Tensor
from sfumato.picture import BadInput


@element("paste")
class Paste(Composite):
    """Outside the mask, the held picture's own bytes; soft edges blend.

    m y + (1 - m) held, at the held picture's own resolution: white (m = 1) is what was painted, black is kept to the
    byte, grey mixes the two. What an edit does unless it is told another composite.
    """

    def apply(
        self, batch: Any, masks: Sequence[Image.Image], x: Tensor | None, pictures: Pictures
    ) -> Iterator[Pictures]:
        yield each_within(batch.original, masks, pictures, paste)


def paste(original: NDArray[np.uint8], result: NDArray[np.uint8], mask: NDArray) -> NDArray[np.uint8]:
    """m result + (1 - m) original, rounded once to the nearest value (halves up).

    original, result: (..., H, W, C) uint8. mask: (..., H, W), or with a last axis of 1: uint8 (255 = result), bool, or
    float in [0, 1]. Where the mask is 0 the original's bytes are returned, where it is full the result's.

    Raises BadInput for other dtypes or shapes that do not fit.
    """
    if original.dtype != np.uint8 or result.dtype != np.uint8:
        raise BadInput(f"A composite needs uint8 pictures, not {original.dtype} and {result.dtype}.")
    if original.shape != result.shape:
        raise BadInput(f"A composite needs pictures of one size, not {original.shape} and {result.shape}.")
    if mask.shape == original.shape[:-1]:
        mask = mask[..., None]
    if mask.shape != (*original.shape[:-1], 1):
        raise BadInput(f"A mask of shape {mask.shape} does not fit a picture of shape {original.shape}.")
    if mask.dtype == bool:
        return np.where(mask, result, original)
    if mask.dtype == np.uint8:
        m = mask.astype(np.uint32)
        blend = (2 * (m * result + (255 - m) * original) + 255) // 510
        return blend.astype(np.uint8)
    if not np.issubdtype(mask.dtype, np.floating) or not ((mask >= 0) & (mask <= 1)).all():
        raise BadInput("A mask is uint8, bool, or float between 0 (kept) and 1 (the result).")
    m = mask.astype(np.float64)
    return np.floor(m * result + (1 - m) * original + 0.5).astype(np.uint8)
