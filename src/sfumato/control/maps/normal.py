"""Normals: which way surfaces face, as a network reads them or from depth."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image
from pydantic import Field

from sfumato.control.maps.control_map import ControlMap
from sfumato.control.maps.depth import Depth
from sfumato.control.maps.estimate import as_array, foreign, holds, read_built_in
from sfumato.control.maps.grey import levelled_grey
from sfumato.element import ModelName, Real, element

STEEPEST = 1e-2
"""The least z that a normal of a network is taken to have: as steep as a picture shows a surface."""


@element("normal")
class Normal(ControlMap):
    """Unit normals (x to the right, y up, z to the viewer). Drawn as ControlNet's normals, of BAE as of MiDaS: red is
    left, green is top, blue is front,

        RGB = 127.5 (1 - n_x, 1 + n_y, 1 + n_z).

    net: nothing for the built-in network of normals (`sfumato.network.normal_network`), which was trained on vignettes,
    or a folder with such a one; or a network of depth, as `depth` takes it: then normals are those of its map.
    relief, smooth: slopes are made so much steeper, and smoothed by a Gaussian of so many widths of the picture,

        n = (-p, q, 1) / |...|,       p, q = relief G (dh/dx, dh/dy),

    where a network's normals say the slopes dh/dx = -n_x / n_z and dh/dy = n_y / n_z, y down, or a map of nearness
    (its least 0 and its greatest 1) times the picture's width is the height h (`normals_of`).
    """

    net: ModelName = Field(default="", description="a folder or a Hub id, or nothing for the built-in network")
    relief: Real = Field(default=1.0, gt=0, le=100, description="a number above 0, up to 100")
    smooth: Real = Field(default=0.0, ge=0, le=0.2, description="a fraction of the width from 0 to 0.2")

    shows = "normals"
    unions = (("ControlNetUnionModel", 4),)

    def read(self, image: Image.Image) -> np.ndarray:
        from sfumato.network.depth_network import DepthNetwork
        from sfumato.network.normal_network import NormalNetwork

        if foreign(self.net) or holds(DepthNetwork, self.net):
            return normals_of(levelled_grey(Depth(self.net).read(image)), self.relief, self.smooth)
        answer = as_array(read_built_in(NormalNetwork, self.net, image)).astype(np.float64)
        x, y, z = answer / np.linalg.norm(answer, axis=0).clip(min=1e-12)
        z = z.clip(min=STEEPEST)
        across, down = (_smoothed(self.relief * slope, self.smooth) for slope in (-x / z, y / z))
        return _facing(across, down)

    def draw(self, found: np.ndarray, size: tuple[int, int]) -> Image.Image:
        turned = found * (-1, 1, 1)
        return Image.fromarray(np.clip(127.5 * (turned + 1), 0, 255).round().astype(np.uint8))

    def truth(self, drawn: Any) -> np.ndarray:
        return drawn.vignette.normals


def normals_of(nearness: np.ndarray, relief: float = 1.0, smooth: float = 0.0) -> np.ndarray:
    """Normals (H, W, 3) of a map of nearness (H, W) in [0, 1]: of the height `relief` widths times that, smoothed.

    A derivative is the smaller one of the differences to the pixels on both sides, 0 where they differ in sign
    (minmod): where one thing ends before another, there is no slope.
    """
    height = _smoothed(relief * nearness.shape[1] * nearness.astype(np.float64), smooth)
    return _facing(_slope(height), _slope(height.T).T)


def _smoothed(values: np.ndarray, smooth: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(values, smooth * values.shape[1], mode="nearest")


def _facing(across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Normals of a surface of such slopes, to the right and down: (-p, q, 1) over its length."""
    field = np.stack([-across, down, np.ones_like(across)], -1)
    return field / np.linalg.norm(field, axis=-1, keepdims=True)


def _slope(height: np.ndarray) -> np.ndarray:
    """The derivative along a row, by minmod; at both ends the one difference that there is."""
    steps = np.diff(height, axis=1)
    before, after = np.concatenate([steps[:, :1], steps], 1), np.concatenate([steps, steps[:, -1:]], 1)
    return np.where(before * after > 0, np.sign(before) * np.minimum(abs(before), abs(after)), 0)
