"""A small network of depth from one picture."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as nf
from torch import Tensor

from sfumato.network.map_network import MapNetwork, ResidualUNet, head


class DepthNetwork(MapNetwork):
    """Pictures -> the logit of "nearness", 1 near and 0 far (1 minus the depth of vignettes). A U-Net whose last layer
    answers four pixels a cell."""

    kind = "depth"
    recipe = "depth"

    def __init__(self, names: Sequence[str] = ("nearness",), widths: Sequence[int] = (24, 48, 96), size: int = 64):
        super().__init__(names, widths, size)
        self.trunk = ResidualUNet(widths)
        self.head = head(widths[0], 4)

    def maps(self, pictures: Tensor) -> tuple[Tensor, ...]:
        return (nf.pixel_shuffle(self.head(self.trunk(pictures)), 2),)
