"""Segmentation: which class every pixel belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from pydantic import Field

from sfumato.control.maps.class_colours import ADE20K, spread_colours
from sfumato.control.maps.control_map import ControlMap
from sfumato.control.maps.estimate import as_array, foreign, read_built_in, transformers_network
from sfumato.element import ModelName, element
from sfumato.lazy import torch
from sfumato.picture import BadInput

if TYPE_CHECKING:
    from torch import Tensor

KIND = "SemanticSegmentation"


@element("segmentation")
class Segmentation(ControlMap):
    """Classes as flat colours.

    net: a folder or a Hub id of one of transformers' networks of semantic segmentation (SegFormer, UPerNet, BEiT, ...),
    drawn in the colours of ADE20K, by which ControlNet's segmentation was trained (`class_colours`); without one an
    attention-gated recurrent residual U-Net that was trained on vignettes (`sfumato.network.r2u_net`), drawn in colours
    of our own (`class_colours.spread_colours`); the classes are `sfumato.data.vignettes.SEMANTIC_NAMES`.
    """

    net: ModelName = Field(default="", description="a folder or a Hub id, or nothing for the built-in network")

    shows = "classes"
    unions = (("ControlNetUnionModel", 5),)

    def read(self, image: Image.Image) -> np.ndarray:
        if foreign(self.net):
            return _classes(_estimated(self.net, image))
        from sfumato.network.r2u_net import AttentionR2UNet

        return _classes(read_built_in(AttentionR2UNet, self.net, image))

    def draw(self, found: np.ndarray, size: tuple[int, int]) -> Image.Image:
        if not foreign(self.net):
            return Image.fromarray(spread_colours(int(found.max()) + 1)[found])
        count = int(transformers_network(self.net, KIND)[1].config.num_labels)
        return Image.fromarray((ADE20K if count <= len(ADE20K) else spread_colours(count))[found])

    def truth(self, drawn: Any) -> np.ndarray:
        if foreign(self.net):
            raise BadInput(f"The classes of {self.net} are not those of vignettes, of which the truth is known.")
        return drawn.vignette.semantic.astype(np.int64)


def _classes(logits: Tensor) -> np.ndarray:
    return as_array(logits.argmax(0)).astype(np.int64)


def _estimated(net: str, image: Image.Image) -> Tensor:
    """Logits (C, H, W)."""
    processor, network = transformers_network(net, KIND)
    with torch.no_grad():
        logits = network(**processor(images=image, return_tensors="pt")).logits
    return torch.nn.functional.interpolate(logits, image.size[::-1], mode="bilinear", align_corners=False)[0]
