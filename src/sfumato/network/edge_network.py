"""A small network of edges, in the line of HED and PiDiNet: pixel differences, and a side output at every scale.

Su et al. 2021, "Pixel Difference Networks for Efficient Edge Detection"; Xie and Tu 2015, "Holistically-Nested Edge
Detection".
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as nf
from torch import Tensor, nn

from sfumato.network.map_network import MapNetwork

AROUND = (1, 2, 5, 8, 7, 6, 3, 0)
"""The eight neighbours in a window of 3 x 3, clockwise from the upper middle."""
INNER = (7, 8, 13, 18, 17, 16, 11, 6)
OUTER = (2, 4, 14, 24, 22, 20, 10, 0)
"""The same neighbours in a window of 5 x 5, and the pixels behind them, twice as far from the middle."""


class PixelDifference(nn.Module):
    """A depthwise convolution of differences of pixels (Su et al. 2021, section 3.2):

        central:  sum_i w_i (x_i - x_middle)            like a Laplacian
        angular:  sum_i w_i (x_i - x_next clockwise)    along the ring of eight
        radial:   sum_i w_i (x_outer,i - x_inner,i)     across it, in a window of 5 x 5
        plain:    sum_i w_i x_i

    Each is a plain convolution with another kernel, `kernel`, and costs no more.
    """

    def __init__(self, channels: int, difference: str):
        super().__init__()
        self.channels, self.difference = channels, difference
        self.weight = nn.Parameter(torch.empty(channels, 1, 3, 3))
        nn.init.kaiming_normal_(self.weight, nonlinearity="linear")

    def kernel(self) -> Tensor:
        w = self.weight.flatten(2)
        if self.difference == "central":
            middle = torch.zeros_like(w)
            middle[..., 4] = 1
            w = w - middle * w.sum(-1, keepdim=True)
        elif self.difference == "angular":
            ring = w[..., AROUND]
            w = torch.zeros_like(w).index_copy(2, _index(AROUND, w), ring - ring.roll(1, -1))
        elif self.difference == "radial":
            ring = w[..., AROUND]
            wide = w.new_zeros(self.channels, 1, 25)
            return wide.index_copy(2, _index(OUTER + INNER, w), torch.cat([ring, -ring], -1)).unflatten(2, (5, 5))
        return w.unflatten(2, (3, 3))

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.kernel()
        return nf.conv2d(x, kernel, padding=kernel.shape[-1] // 2, groups=self.channels)


def _index(places: Sequence[int], like: Tensor) -> Tensor:
    return torch.tensor(places, device=like.device)


class _Block(nn.Module):
    """x + 1 x 1 convolution(relu(differences of x))."""

    def __init__(self, channels: int, difference: str):
        super().__init__()
        self.differences = PixelDifference(channels, difference)
        self.mix = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mix(nf.relu(self.differences(x)))


class EdgeNetwork(MapNetwork):
    """Pictures -> logits of edges; names: "contours", where one thing ends and another begins, and "lines", what a pen
    would draw. Four scales of four blocks, central, angular, radial, plain; each scale answers by itself, and the last
    answer is their sum, weighted channel by channel (HED's fusion)."""

    kind = "edges"
    recipe = "edges"
    ORDER: ClassVar[tuple[str, ...]] = ("central", "angular", "radial", "plain")

    def __init__(
        self, names: Sequence[str] = ("contours", "lines"), widths: Sequence[int] = (16, 32, 48, 48), size: int = 64
    ):
        super().__init__(names, widths, size)
        self.stem = nn.Conv2d(3, widths[0], 3, padding=1)
        grows = pairwise(widths)
        self.wider = nn.ModuleList([nn.Identity(), *(nn.Conv2d(a, b, 1) for a, b in grows)])
        self.scales = nn.ModuleList(nn.Sequential(*(_Block(width, d) for d in self.ORDER)) for width in widths)
        self.sides = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, len(names), 1))
            for width in widths
        )
        self.fuse = nn.Conv2d(len(widths) * len(names), len(names), 1)
        nn.init.constant_(self.fuse.weight, 1 / len(widths))

    def maps(self, pictures: Tensor) -> tuple[Tensor, ...]:
        x, found = self.stem(pictures), []
        for level, (wider, scale, side) in enumerate(zip(self.wider, self.scales, self.sides, strict=True)):
            x = scale(wider(nf.max_pool2d(x, 2) if level else x))
            found.append(nf.interpolate(side(x), pictures.shape[-2:], mode="bilinear", align_corners=False))
        return *found, self.fuse(torch.cat(found, 1))
