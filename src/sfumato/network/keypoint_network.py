"""A small network of keypoints: a heatmap for every joint (Newell et al. 2016; Xiao et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as nf
from torch import Tensor, nn

from sfumato.network.map_network import MapNetwork, ResidualUNet, head


class KeypointNetwork(MapNetwork):
    """Pictures -> for each joint of `names` the logit of its heatmap, a bump of height 1 where it is.

    The heatmaps have a cell for 2 x 2 pixels, as features have; `forward` gives them at the picture's size, bilinear.
    """

    kind = "keypoints"
    recipe = "keypoints"

    def __init__(self, names: Sequence[str], widths: Sequence[int] = (24, 48, 96), size: int = 64):
        super().__init__(names, widths, size)
        self.trunk = ResidualUNet(widths)
        self.head = head(widths[0], len(self.names))
        nn.init.constant_(self.head[-1].bias, -4.0)  # pyright: ignore[reportArgumentType]: nearly all is no joint

    def maps(self, pictures: Tensor) -> tuple[Tensor, ...]:
        return (nf.interpolate(self.head(self.trunk(pictures)), scale_factor=2.0, mode="bilinear"),)


def peaks(heatmaps: Tensor, least: float = 0.3) -> Tensor:
    """Where each joint is: heatmaps (B, J, H, W) in [0, 1] -> (B, J, 3), x and y in pixels (the middle of the first
    pixel is 0.5) and how high the peak is; x and y are NaN where it is lower than `least`.

    The place is the mean of the 5 x 5 pixels around the highest, weighted by their heights: finer than a pixel.
    """
    height, width = heatmaps.shape[-2:]
    best, at = heatmaps.flatten(2).max(-1)
    row, column = at // width, at % width
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    y, x = y.to(heatmaps), x.to(heatmaps)
    near = ((y - row[..., None, None]).abs() <= 2) & ((x - column[..., None, None]).abs() <= 2)
    weight = heatmaps * near
    total = weight.sum((-2, -1)).clamp(min=1e-12)
    places = torch.stack([(weight * x).sum((-2, -1)) / total, (weight * y).sum((-2, -1)) / total], -1) + 0.5
    places = torch.where((best >= least)[..., None], places, torch.full_like(places, torch.nan))
    return torch.cat([places, best[..., None]], -1)
