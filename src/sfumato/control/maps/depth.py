"""Depth: how near everything is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from sfumato.control.maps.control_map import ControlMap
from sfumato.control.maps.estimate import as_array, foreign, read_built_in, transformers_network
from sfumato.control.maps.grey import drawn_grey, levelled_grey
from sfumato.element import ModelName, element
from sfumato.lazy import torch

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

METRIC = ("glpn", "zoedepth")
"""Types of transformers' networks that answer depth itself, not its inverse."""


@element("depth")
class Depth(ControlMap):
    """Inverse depth of a picture, near is white and far black, the least 0 and the greatest 1, as ControlNet's depth
    (MiDaS) was trained on.

    net: a folder or a Hub id of transformers' (DPT, Depth Anything, ZoeDepth, GLPN); without one a small network that
    was trained on vignettes (`sfumato.network.depth_network`).
    """

    net: ModelName = Field(default="", description="a folder or a Hub id, or nothing for the built-in network")

    shows = "depth"
    unions = (("ControlNetUnionModel", 1), ("FluxControlNetModel", 2))

    def read(self, image: Image.Image) -> np.ndarray:
        if foreign(self.net):
            return _estimated(self.net, image)
        from sfumato.network.depth_network import DepthNetwork

        return as_array(read_built_in(DepthNetwork, self.net, image)[0].sigmoid())

    def draw(self, found: np.ndarray, size: tuple[int, int]) -> Image.Image:
        return drawn_grey(levelled_grey(found))

    def truth(self, drawn: Any) -> np.ndarray:
        return 1 - drawn.vignette.depth


def _estimated(net: str, image: Image.Image) -> np.ndarray:
    processor, network = transformers_network(net, "DepthEstimation")
    with torch.no_grad():
        depth = network(**processor(images=image, return_tensors="pt")).predicted_depth[None]
    config = network.config
    if config.model_type in METRIC or getattr(config, "depth_estimation_type", "") == "metric":
        depth = 1 / depth.clamp(min=1e-3)
    size = image.size[::-1]
    return as_array(torch.nn.functional.interpolate(depth, size, mode="bicubic", align_corners=False)[0, 0])
