"""Normals: which way surfaces face, from depth."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image
from pydantic import Field

from sfumato.control.maps.control_map import ControlMap
from sfumato.control.maps.depth import Depth
from sfumato.control.maps.grey import levelled_grey
from sfumato.element import ModelName, Real, element


@element("normal")
class Normal(ControlMap):
    """Unit normals from a map of nearness d (`depth`, its least 0 and its greatest 1) over a picture of width W:

        h = relief W (G_s * d),      n = (-dh/dx, dh/dy, 1) / |...|,      x right, y down in the derivatives

    G_s a Gaussian of s = smooth W. A derivative is the smaller one of the differences to the pixels on both sides, 0
    where they differ in sign (minmod): where one thing ends before another, there is no slope. n has x to the right, y
    up, z to the viewer. Drawn as ControlNet's normals, of BAE as of MiDaS: red is left, green is top, blue is front,

        RGB = 127.5 (1 - n_x, 1 + n_y, 1 + n_z).

    net: of `depth`. relief: how deep the picture is, in its widths.
    """

    net: ModelName = Field(default="", description="a folder or a Hub id, or nothing for the built-in network")
    relief: Real = Field(default=1.0, gt=0, le=100, description="a number above 0, up to 100")
    smooth: Real = Field(default=0.0, ge=0, le=0.2, description="a fraction of the width from 0 to 0.2")

    shows = "normals"

    def read(self, image: Image.Image) -> np.ndarray:
        return normals_of(levelled_grey(Depth(self.net).read(image)), self.relief, self.smooth)

    def draw(self, found: np.ndarray, size: tuple[int, int]) -> Image.Image:
        turned = found * (-1, 1, 1)
        return Image.fromarray(np.clip(127.5 * (turned + 1), 0, 255).round().astype(np.uint8))

    def truth(self, drawn: Any) -> np.ndarray:
        return drawn.vignette.normals


def normals_of(nearness: np.ndarray, relief: float = 1.0, smooth: float = 0.0) -> np.ndarray:
    """(H, W) -> (H, W, 3): see `Normal`."""
    from scipy.ndimage import gaussian_filter

    width = nearness.shape[1]
    height = relief * width * gaussian_filter(nearness.astype(np.float64), smooth * width, mode="nearest")
    across, down = _slope(height), _slope(height.T).T
    field = np.stack([-across, down, np.ones_like(across)], -1)
    return field / np.linalg.norm(field, axis=-1, keepdims=True)


def _slope(height: np.ndarray) -> np.ndarray:
    """The derivative along a row, by minmod; at both ends the one difference that there is."""
    steps = np.diff(height, axis=1)
    before, after = np.concatenate([steps[:, :1], steps], 1), np.concatenate([steps, steps[:, -1:]], 1)
    return np.where(before * after > 0, np.sign(before) * np.minimum(abs(before), abs(after)), 0)
