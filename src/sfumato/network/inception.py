"""The Inception-v3 of FID, as TensorFlow's graph of 2015-12-05 computes it, with the usual names of its weights."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as nf
from torch import Tensor, nn

SIZE = 299
CLASSES = 1008
SPATIAL = 7  # channels of the spatial features


class InceptionOutput(NamedTuple):
    """Pooled features (B, 2048), logits without their bias (B, 1008), spatial features (B, 7 x 17 x 17)."""

    pool: Tensor
    logits: Tensor
    spatial: Tensor


class Conv(nn.Module):
    """relu(norm(conv(x))), without padding where it strides or is told so."""

    def __init__(self, before: int, after: int, kernel: int | tuple[int, int], stride: int = 1, pad: bool = True):
        super().__init__()
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        around = (sides[0] // 2, sides[1] // 2) if pad and stride == 1 else 0
        self.conv = nn.Conv2d(before, after, sides, stride, around, bias=False)
        self.bn = nn.BatchNorm2d(after, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return nf.relu(self.bn(self.conv(x)))


class Layer(NamedTuple):
    name: str
    width: int
    kernel: int | tuple[int, int] = 1
    stride: int = 1


def average(x: Tensor) -> Tensor:
    """The mean of 3 x 3 around each place; TensorFlow doesn't count the padding."""
    return nf.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def largest(x: Tensor) -> Tensor:
    return nf.max_pool2d(x, 3, 1, 1)


def halve(x: Tensor) -> Tensor:
    return nf.max_pool2d(x, 3, 2)


class Mixed(nn.Module):
    """Branches side by side, their answers stacked. A branch is a row of layers and poolings; a list of layers in its
    last place forks it."""

    def __init__(self, before: int, *branches: list):
        super().__init__()
        self.branches, self.width = branches, 0
        for branch in branches:
            width = before
            for step in branch:
                layers = step if isinstance(step, list) else [step] if isinstance(step, Layer) else []
                for layer in layers:
                    self.add_module(layer.name, Conv(width, layer.width, layer.kernel, layer.stride))
                width = sum(layer.width for layer in layers) if layers else width
            self.width += width

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self._walk(branch, x) for branch in self.branches], 1)

    def _walk(self, branch: list, x: Tensor) -> Tensor:
        for step in branch:
            if isinstance(step, list):
                x = torch.cat([self.get_submodule(layer.name)(x) for layer in step], 1)
            else:
                x = self.get_submodule(step.name)(x) if isinstance(step, Layer) else step(x)
        return x


def block_a(before: int, pooled: int) -> Mixed:
    """Figure 5 of Szegedy et al. 2016, with a 5 x 5 branch."""
    return Mixed(
        before,
        [Layer("branch1x1", 64)],
        [Layer("branch5x5_1", 48), Layer("branch5x5_2", 64, 5)],
        [Layer("branch3x3dbl_1", 64), Layer("branch3x3dbl_2", 96, 3), Layer("branch3x3dbl_3", 96, 3)],
        [average, Layer("branch_pool", pooled)],
    )


def block_b(before: int) -> Mixed:
    """From 35 x 35 to 17 x 17 (figure 10 there)."""
    return Mixed(
        before,
        [Layer("branch3x3", 384, 3, 2)],
        [Layer("branch3x3dbl_1", 64), Layer("branch3x3dbl_2", 96, 3), Layer("branch3x3dbl_3", 96, 3, 2)],
        [halve],
    )


def block_c(before: int, inner: int) -> Mixed:
    """Figure 6 there, n = 7."""
    wide, tall = (1, 7), (7, 1)
    return Mixed(
        before,
        [Layer("branch1x1", 192)],
        [Layer("branch7x7_1", inner), Layer("branch7x7_2", inner, wide), Layer("branch7x7_3", 192, tall)],
        [
            Layer("branch7x7dbl_1", inner),
            Layer("branch7x7dbl_2", inner, tall),
            Layer("branch7x7dbl_3", inner, wide),
            Layer("branch7x7dbl_4", inner, tall),
            Layer("branch7x7dbl_5", 192, wide),
        ],
        [average, Layer("branch_pool", 192)],
    )


def block_d(before: int) -> Mixed:
    """From 17 x 17 to 8 x 8."""
    return Mixed(
        before,
        [Layer("branch3x3_1", 192), Layer("branch3x3_2", 320, 3, 2)],
        [
            Layer("branch7x7x3_1", 192),
            Layer("branch7x7x3_2", 192, (1, 7)),
            Layer("branch7x7x3_3", 192, (7, 1)),
            Layer("branch7x7x3_4", 192, 3, 2),
        ],
        [halve],
    )


def block_e(before: int, pooling) -> Mixed:
    """Figure 7 there: branches that fork."""
    wide, tall = (1, 3), (3, 1)
    return Mixed(
        before,
        [Layer("branch1x1", 320)],
        [Layer("branch3x3_1", 384), [Layer("branch3x3_2a", 384, wide), Layer("branch3x3_2b", 384, tall)]],
        [
            Layer("branch3x3dbl_1", 448),
            Layer("branch3x3dbl_2", 384, 3),
            [Layer("branch3x3dbl_3a", 384, wide), Layer("branch3x3dbl_3b", 384, tall)],
        ],
        [pooling, Layer("branch_pool", 192)],
    )


class Inception(nn.Module):
    """Inception-v3 (Szegedy et al. 2016) of pictures (B, 3, 299, 299), (x - 128)/128 of levels 0 to 255.

    The graph of FID (Heusel et al. 2017) differs from later ones: 1008 classes, averages that leave the padding out,
    and a maximum in the last block's pooling branch. Names of weights are torchvision's, as in the file
    pt_inception-2015-12-05. Spatial features are the first 7 channels of Mixed_6d's 1 x 1 branch, which is
    `mixed_6/conv` in TensorFlow (Nash et al. 2021; Dhariwal and Nichol 2021).
    """

    def __init__(self):
        super().__init__()
        self.Conv2d_1a_3x3 = Conv(3, 32, 3, 2)
        self.Conv2d_2a_3x3 = Conv(32, 32, 3, pad=False)
        self.Conv2d_2b_3x3 = Conv(32, 64, 3)
        self.Conv2d_3b_1x1 = Conv(64, 80, 1)
        self.Conv2d_4a_3x3 = Conv(80, 192, 3, pad=False)
        self.Mixed_5b = block_a(192, 32)
        self.Mixed_5c = block_a(256, 64)
        self.Mixed_5d = block_a(288, 64)
        self.Mixed_6a = block_b(288)
        self.Mixed_6b = block_c(768, 128)
        self.Mixed_6c = block_c(768, 160)
        self.Mixed_6d = block_c(768, 160)
        self.Mixed_6e = block_c(768, 192)
        self.Mixed_7a = block_d(768)
        self.Mixed_7b = block_e(1280, average)
        self.Mixed_7c = block_e(2048, largest)
        self.fc = nn.Linear(2048, CLASSES)

    def forward(self, x: Tensor) -> InceptionOutput:
        x = halve(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))))
        x = halve(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)))
        x = self.Mixed_6a(self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x))))
        x = self.Mixed_6c(self.Mixed_6b(x))
        spatial = self.Mixed_6d.get_submodule("branch1x1")(x)[:, :SPATIAL]
        x = self.Mixed_6e(self.Mixed_6d(x))
        pool = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x))).mean((2, 3))
        return InceptionOutput(pool, pool @ self.fc.weight.T, spatial.flatten(1))
