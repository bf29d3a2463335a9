"""LPIPS (Zhang et al. 2018): how different two pictures look, by the features of AlexNet or VGG-16."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
import torch.nn.functional as nf
from torch import Tensor, nn

SHIFT = (-0.030, -0.088, -0.188)  # ImageNet's mean and deviation, for pictures in [-1, 1]
SCALE = (0.458, 0.448, 0.450)
Layer = tuple[int, int, int, int, int]  # before, after, kernel, stride, padding

ALEX: list[list[Layer]] = [
    [(3, 64, 11, 4, 2)],
    [(64, 192, 5, 1, 2)],
    [(192, 384, 3, 1, 1)],
    [(384, 256, 3, 1, 1)],
    [(256, 256, 3, 1, 1)],
]
VGG: list[list[Layer]] = [
    [(a, b, 3, 1, 1) for a, b in pairwise(widths)]
    for widths in ((3, 64, 64), (64, 128, 128), (128, 256, 256, 256), (256, 512, 512, 512), (512, 512, 512, 512))
]
BACKBONES = {"alex": (ALEX, (3, 2), (1, 2)), "vgg": (VGG, (2, 2), (1, 2, 3, 4))}
"""Blocks of convolutions, the pooling's window and stride, and the blocks that it stands before."""


class LPIPS(nn.Module):
    """d(x, y) of pictures (B, 3, H, W) in [-1, 1], (B,); 0 for equal ones, larger is more different:

        sum over blocks of the mean over places of sum_c w_c (f_c(x) - f_c(y))^2                  (eq. 1)

    with the features f of each block's last layer at unit length. `features` are the backbone's weights by
    torchvision's names (features.0.weight, ...), `lins` the weights w by the authors' (lin0.model.1.weight, ...).
    """

    def __init__(self, backbone: str, features: Mapping[str, Tensor], lins: Mapping[str, Tensor]):
        super().__init__()
        blocks, (self.window, self.stride), self.pooled = BACKBONES[backbone]
        self.backbone = backbone
        self.blocks, index = nn.ModuleList(), 0
        for number, block in enumerate(blocks):
            index += number in self.pooled
            layers = nn.ModuleList()
            for before, after, kernel, stride, padding in block:
                layer = nn.Conv2d(before, after, kernel, stride, padding)
                named = {part: features[f"features.{index}.{part}"] for part in ("weight", "bias")}
                layer.load_state_dict({part: value.float() for part, value in named.items()})
                layers.append(layer)
                index += 2  # the convolution and its rectifier
            self.blocks.append(layers)
        self.lins = nn.ParameterList(lins[f"lin{i}.model.1.weight"].float() for i in range(len(blocks)))
        for lin, block in zip(self.lins, blocks, strict=True):
            if tuple(lin.shape) != (1, block[-1][1], 1, 1):
                raise ValueError(f"the linear weights {tuple(lin.shape)} are not those of {backbone}")

    def maps(self, x: Tensor) -> list[Tensor]:
        """The features of each block at unit length."""
        shift, scale = (torch.tensor(values).reshape(3, 1, 1).to(x) for values in (SHIFT, SCALE))
        x, found = (x - shift) / scale, []
        for number, layers in enumerate(self.blocks):
            x = nf.max_pool2d(x, self.window, self.stride) if number in self.pooled else x
            for layer in layers:  # pyright: ignore[reportGeneralTypeIssues]
                x = nf.relu(layer(x))
            found.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
        return found

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        terms = [
            nf.conv2d((a - b).square(), lin).mean((1, 2, 3))
            for a, b, lin in zip(self.maps(x), self.maps(y), self.lins, strict=True)
        ]
        return torch.stack(terms).sum(0)
