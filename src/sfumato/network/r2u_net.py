"""An attention-gated recurrent residual U-Net, for segmentation.

Alom et al. 2018, "Recurrent Residual Convolutional Neural Network based on U-Net (R2U-Net)"; Oktay et al. 2018,
"Attention U-Net: Learning Where to Look for the Pancreas".
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as nf
from torch import Tensor, nn

from sfumato.network.map_network import MapNetwork

RECURRENCES = 2


class _Recurrent(nn.Module):
    """h_0 = f(x), h_(k+1) = f(x + h_k), f = relu(norm(convolution)), with the same weights each time (Alom et al.,
    eq. 1 to 3)."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(channels, channels, 3, padding=1), nn.GroupNorm(8, channels)

    def forward(self, x: Tensor) -> Tensor:
        h = nf.relu(self.norm(self.conv(x)))
        for _ in range(RECURRENCES):
            h = nf.relu(self.norm(self.conv(x + h)))
        return h


class RecurrentResidual(nn.Module):
    """x + two recurrent convolutions of x, x by a 1 x 1 convolution of the input (Alom et al., eq. 4)."""

    def __init__(self, before: int, channels: int):
        super().__init__()
        self.enter = nn.Conv2d(before, channels, 1)
        self.recurrent = nn.Sequential(_Recurrent(channels), _Recurrent(channels))

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        return x + self.recurrent(x)


class AttentionGate(nn.Module):
    """A skip weighed by where the coarser features say to look (Oktay et al., eq. 1 and 2):

    skip * sigmoid(psi relu(W_x skip + W_g gate))
    """

    def __init__(self, channels: int):
        super().__init__()
        self.skip, self.gate = nn.Conv2d(channels, channels // 2, 1), nn.Conv2d(channels, channels // 2, 1)
        self.psi = nn.Conv2d(channels // 2, 1, 1)

    def forward(self, skip: Tensor, gate: Tensor) -> Tensor:
        return skip * torch.sigmoid(self.psi(nf.relu(self.skip(skip) + self.gate(gate))))


class AttentionR2UNet(MapNetwork):
    """Pictures -> logits of the classes `names`. It works on 2 x 2 pixels a cell, and answers four pixels a cell."""

    kind = "segmentation"
    recipe = "segmentation"

    def __init__(self, names: Sequence[str], widths: Sequence[int] = (24, 48, 96), size: int = 64):
        super().__init__(names, widths, size)
        pairs = list(pairwise(widths))
        self.stem = nn.Conv2d(12, widths[0], 3, padding=1)
        self.down = nn.ModuleList(RecurrentResidual(a, b) for a, b in zip((widths[0], *widths), widths, strict=False))
        self.up = nn.ModuleList(nn.Conv2d(b, a, 3, padding=1) for a, b in pairs)
        self.gates = nn.ModuleList(AttentionGate(a) for a, _ in pairs)
        self.join = nn.ModuleList(RecurrentResidual(2 * a, a) for a, _ in pairs)
        self.head = nn.Conv2d(widths[0], 4 * len(self.names), 1)

    def maps(self, pictures: Tensor) -> tuple[Tensor, ...]:
        x, skips = self.stem(nf.pixel_unshuffle(pictures, 2)), []
        for level, block in enumerate(self.down):
            x = block(nf.max_pool2d(x, 2) if level else x)
            skips.append(x)
        skips.pop()
        levels: Any = zip(reversed(self.up), reversed(self.gates), reversed(self.join), reversed(skips), strict=True)
        for up, gate, join, skip in levels:
            x = nf.relu(up(nf.interpolate(x, scale_factor=2.0, mode="nearest")))
            x = join(torch.cat([gate(skip, x), x], 1))
        return (nf.pixel_shuffle(self.head(x), 2),)
