"""Soft edges: the contours of things, as surely as they are ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from sfumato.control.maps.control_map import ControlMap
from sfumato.control.maps.estimate import as_array, read_built_in
from sfumato.control.maps.grey import drawn_grey, grey_of
from sfumato.element import ModelName, element

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image


@element("softedge", presets={"softedge-classical": {"classical": True}})
class SoftEdge(ControlMap):
    """The probability that a pixel is the contour of a thing, by a network in the line of HED and PiDiNet
    (`sfumato.network.edge_network`) that was trained on vignettes. White on black, as ControlNet's softedge (HED,
    PiDiNet) was trained on.

    net: a folder of the same network, trained on something else. classical: no network (`softedge-classical`): the
    larger gradient of two Gaussian scales, s |gradient of G_s * brightness| for s = 1 and 2 pixels (Lindeberg 1998),
    over its 98th percentile. It can't tell a thing's contour from a pattern on it.
    """

    net: ModelName = Field(default="", description="a folder, or nothing for the built-in network")
    classical: bool = Field(default=False, description="true or false")

    shows = "edges"
    unions = (("ControlNetUnionModel", 2),)

    def read(self, image: Image.Image) -> np.ndarray:
        if self.classical:
            return scale_space_gradient(grey_of(image))
        from sfumato.network.edge_network import EdgeNetwork

        return as_array(read_built_in(EdgeNetwork, self.net, image, at_its_size=False)[0].sigmoid())

    def draw(self, found: np.ndarray, size: tuple[int, int]) -> Image.Image:
        return drawn_grey(found)

    def truth(self, drawn: Any) -> np.ndarray:
        return drawn.contours.astype(float)


def scale_space_gradient(grey: np.ndarray, scales: tuple[float, ...] = (1, 2)) -> np.ndarray:
    """(H, W) in [0, 1]."""
    import numpy as np
    from scipy.ndimage import gaussian_gradient_magnitude

    found = np.max([s * gaussian_gradient_magnitude(grey.astype(float), s) for s in scales], axis=0)
    return np.clip(found / max(float(np.percentile(found, 98)), 1e-6), 0, 1) if found.any() else found
