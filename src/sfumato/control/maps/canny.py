"""Canny edges: Canny 1986, "A Computational Approach to Edge Detection"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from sfumato.control.maps.control_map import ControlMap
from sfumato.control.maps.grey import drawn_grey, grey_of
from sfumato.element import Real, element

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

_LEVEL = "a number from 0 to 2000, in levels of brightness a pixel (Sobel's)"


@element("canny")
class Canny(ControlMap):
    """Local maxima of the gradient (Sobel, 3 x 3) that are above `high`, and those above `low` that touch one, as
    OpenCV finds them. White lines of one pixel on black, as ControlNet's canny was trained on."""

    low: Real = Field(default=100, ge=0, le=2000, description=_LEVEL)
    high: Real = Field(default=200, ge=0, le=2000, description=_LEVEL)

    @model_validator(mode="after")
    def _ordered(self) -> Canny:
        if self.low > self.high:
            raise ValueError(f"low is {self.low:g}, above high, {self.high:g}: give low up to high")
        return self

    shows = "edges"
    unions = (("ControlNetUnionModel", 3), ("FluxControlNetModel", 0))

    def read(self, image: Image.Image) -> np.ndarray:
        import cv2

        return cv2.Canny(grey_of(image), self.low, self.high) / 255.0

    def draw(self, found: np.ndarray, size: tuple[int, int]) -> Image.Image:
        return drawn_grey(found)
