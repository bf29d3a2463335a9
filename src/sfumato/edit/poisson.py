"""Poisson cloning: the result's gradients, the original's colours at the edge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sfumato.edit.composite import Composite, Pictures, each_within
from sfumato.edit.paste import paste
from sfumato.element import element
from sfumato.lazy import Tensor

ERODED = 3  # pixels that OpenCV takes off a mask's edge before it reads gradients
RING = 2 * ERODED + 2


@element("poisson")
class Poisson(Composite):
    """Pasted, with the held picture's colours at the mask's edge: Perez, Gangnet & Blake 2003.

    Inside the mask the painted picture's gradients are kept and its colours moved, by a solution of Laplace's
    equation, so that they meet the held picture's at the edge (eq. 4): no seam where light or colour came out a
    little different.
    """

    def apply(
        self, batch: Any, masks: Sequence[Image.Image], x: Tensor | None, pictures: Pictures
    ) -> Iterator[Pictures]:
        yield each_within(batch.original, masks, pictures, poisson)


def poisson(original: NDArray[np.uint8], result: NDArray[np.uint8], mask: NDArray) -> NDArray[np.uint8]:
    """The f whose gradients are the result's inside the mask, and which is the original outside:

        min_f integral over m of |grad f - grad result|^2,      f = original on the edge of m

    Perez, Gangnet & Blake 2003, eq. 3; the seeds' "seamless cloning". OpenCV's `seamlessClone` solves it for each
    connected part of the mask, grown by the three pixels that OpenCV erodes, so that thin parts are cloned as well.
    Where a part touches the picture's border, the pictures are mirrored there, which lets f end freely; a part that
    leaves no original to begin from stays as the result has it.

    original, result: (H, W, 3) uint8. mask: as `paste` takes it; where it is 0 the original's bytes are returned, and
    soft edges blend what was cloned with the original. Raises BadInput where `paste` does.
    """
    from scipy import ndimage

    paste(original, result, mask)  # refuses what does not fit
    if (original == result).all():
        return original.copy()
    cloned = result.copy()
    labelled: Any = ndimage.label(mask.reshape(original.shape[:2]) > 0, np.ones((3, 3)))
    parts: Any = labelled[0]
    for number, (rows, columns) in enumerate(ndimage.find_objects(parts), start=1):
        window = _wider(rows), _wider(columns)
        part = parts[window] == number
        if not part.all():
            cloned[window][part] = _cloned(original[window], result[window], part)[part]
    return paste(original, cloned, mask)


def _wider(span: slice) -> slice:
    return slice(max(span.start - RING, 0), span.stop + RING)


def _cloned(original: NDArray[np.uint8], result: NDArray[np.uint8], part: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """OpenCV's cloning of one part of the mask."""
    import cv2

    high, wide = part.shape
    top, bottom = high * int(part[0].any()), high * int(part[-1].any())
    left, right = wide * int(part[:, 0].any()), wide * int(part[:, -1].any())

    def framed(array: NDArray, border: int) -> Any:
        mirrored = cv2.copyMakeBorder(array, top, bottom, left, right, cv2.BORDER_REFLECT)
        return cv2.copyMakeBorder(mirrored, RING, RING, RING, RING, border)

    where = framed(part.astype(np.uint8) * 255, cv2.BORDER_CONSTANT)
    where = cv2.dilate(where, np.ones((3, 3), np.uint8), iterations=ERODED)
    x, y, w, h = cv2.boundingRect(where)
    source, into = framed(result, cv2.BORDER_REPLICATE), framed(original, cv2.BORDER_REPLICATE)
    cloned: Any = cv2.seamlessClone(source, into, where, (x + w // 2, y + h // 2), cv2.NORMAL_CLONE)
    return cloned[RING + top : RING + top + high, RING + left : RING + left + wide]
