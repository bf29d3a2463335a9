"""A small network of surface normals from one picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as nf
from torch import Tensor, nn

from sfumato.network.map_network import MapNetwork, ResidualUNet, head


class NormalNetwork(MapNetwork):
    """Pictures -> normals that are not yet of length 1: x to the right, y up, z to the viewer. A U-Net whose last layer
    answers four pixels a cell; it begins with all surfaces facing the viewer."""

    kind = "normal"
    recipe = "normal"

    def __init__(self, names: Sequence[str] = ("x", "y", "z"), widths: Sequence[int] = (24, 48, 96), size: int = 64):
        super().__init__(names, widths, size)
        self.trunk = ResidualUNet(widths)
        self.head = head(widths[0], 12)
        last: Any = self.head[-1]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias[:8])
        nn.init.ones_(last.bias[8:])

    def maps(self, pictures: Tensor) -> tuple[Tensor, ...]:
        return (nf.pixel_shuffle(self.head(self.trunk(pictures)), 2),)
