"""Line art: what a pen would draw."""

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


@element("lineart", presets={"lineart-classical": {"classical": True}})
class LineArt(ControlMap):
    """The lines of a drawing of the picture, contours and what lies within (eyes, windows, folds), by the second map of
    the network of soft edges. White on black, as ControlNet's lineart was trained on.

    net: a folder of the same network, trained on something else. classical: no network (`lineart-classical`):
    what is darker than its surroundings, by a difference of Gaussians (Marr and Hildreth 1980) of the brightness I,
    over its 98th percentile; it draws grain as well.

        max(0, G_1.6s * I - G_s * I),      s = 1 pixel
    """

    net: ModelName = Field(default="", description="a folder, or nothing for the built-in network")
    classical: bool = Field(default=False, description="true or false")

    shows = "edges"
    unions = (("ControlNetUnionModel", 3),)

    def read(self, image: Image.Image) -> np.ndarray:
        if self.classical:
            return difference_of_gaussians(grey_of(image))
        from sfumato.network.edge_network import EdgeNetwork

        return as_array(read_built_in(EdgeNetwork, self.net, image, at_its_size=False)[1].sigmoid())

    def draw(self, found: np.ndarray, size: tuple[int, int]) -> Image.Image:
        return drawn_grey(found)

    def truth(self, drawn: Any) -> np.ndarray:
        return drawn.lines.astype(float)


def difference_of_gaussians(grey: np.ndarray, sigma: float = 1.0) -> np.ndarray:
    """(H, W) in [0, 1], 1 on a line."""
    import numpy as np
    from scipy.ndimage import gaussian_filter

    bright = grey.astype(float)
    darker = np.maximum(gaussian_filter(bright, 1.6 * sigma) - gaussian_filter(bright, sigma), 0)
    return np.clip(darker / max(float(np.percentile(darker, 98)), 1e-6), 0, 1)
