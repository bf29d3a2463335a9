"""What networks that read a map off a picture are trained by."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
import torch.nn.functional as nf
from pydantic import Field
from torch import Tensor

from sfumato.element.section import Few, Fraction, Named, Rate, Section


class DiceFocal(Section):
    """dice (1 - Dice) + (1 - dice) focal cross-entropy: the one sees a class as a whole, however small, the other
    every pixel. focal: the exponent gamma of (1 - p)^gamma, 0 for plain cross-entropy (Lin et al. 2017, eq. 4)."""

    kind: Literal["dice-focal"] = "dice-focal"
    dice: Fraction = 0.5
    focal: Annotated[float, Field(ge=0, le=10)] = 0.0

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """logits (B, C, H, W); target: the index of each pixel's class, (B, H, W), or for classes that don't exclude
        each other (edges) the probability of each, (B, C, H, W)."""
        entropy, p, y = (focal_of_classes if target.ndim == 3 else focal_of_each)(logits, target, self.focal)
        return self.dice * (1 - dice(p, y)) + (1 - self.dice) * entropy


def focal_of_classes(logits: Tensor, target: Tensor, gamma: float) -> tuple[Tensor, Tensor, Tensor]:
    """mean -(1 - p)^gamma log p of the class that is right; and the probabilities and the truth of all classes."""
    log_p = logits.log_softmax(1)
    right = log_p.gather(1, target[:, None].long())[:, 0]
    y = nf.one_hot(target.long(), logits.shape[1]).movedim(-1, 1).to(logits)
    return -((1 - right.exp()) ** gamma * right).mean(), log_p.exp(), y


def focal_of_each(logits: Tensor, target: Tensor, gamma: float) -> tuple[Tensor, Tensor, Tensor]:
    """The same of classes that are there or not, each by itself."""
    entropy = nf.binary_cross_entropy_with_logits(logits, target, reduction="none")
    p = logits.sigmoid()
    wrong = (target - p).abs()
    return (wrong**gamma * entropy).mean(), p, target


def dice(p: Tensor, y: Tensor) -> Tensor:
    """The soft Dice coefficient 2 sum p y / (sum p^2 + sum y^2) (Milletari et al. 2016, eq. 2) of a batch, mean over
    the classes that it shows."""
    over = (0, 2, 3)
    both, either = (p * y).sum(over), (p * p).sum(over) + (y * y).sum(over)
    shown = y.sum(over) > 0
    each = torch.where(shown, 2 * both / either.clamp(min=1e-6), torch.zeros_like(both))
    return each.sum() / shown.sum().clamp(min=1)


class DepthLoss(Section):
    """mean |d - d*| + gradients x mean over `scales` of |gradient of (d - d*)|, each scale half as fine as the one
    before (Ranftl et al. 2020, eq. 11, of depths as they are): sharp edges, smooth planes. d = sigmoid(logit)."""

    kind: Literal["depth"]
    gradients: Annotated[float, Field(ge=0, le=100)] = 0.5
    scales: Few = 4

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """logits and target (B, 1, H, W)."""
        error = logits.sigmoid() - target
        slopes = [_slopes(error[..., :: 2**k, :: 2**k]) for k in range(self.scales)]
        return error.abs().mean() + self.gradients * torch.stack(slopes).mean()


def _slopes(error: Tensor) -> Tensor:
    return error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()


class NormalLoss(Section):
    """The mean angle between n and n* in degrees, over 90: 2 atan2(|n - n*|, |n + n*|) (Kahan 2006), which is exact for
    small angles too; n is the answer over its length."""

    kind: Literal["normal"]

    def __call__(self, answer: Tensor, target: Tensor) -> Tensor:
        """answer (B, 3, H, W) of any length; target: unit vectors."""
        n = nf.normalize(answer, dim=1)
        apart, along = ((x.square().sum(1) + 1e-12).sqrt() for x in (n - target, n + target))
        return 4 / math.pi * torch.atan2(apart, along).mean()


class HeatmapLoss(Section):
    """Cross-entropy of each pixel with a bump exp(-distance^2 / 2 sigma^2) around each joint, over all pixels, a joint
    (Newell et al. 2016 have the squared error); sigma in pixels. Of a joint that is not there the map is 0."""

    kind: Literal["heatmaps"]
    sigma: Rate = 1.5

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """logits (B, J, H, W); target (B, J, 3): x, y in pixels, and whether it is there."""
        wanted = bumps(target, logits.shape[-2], logits.shape[-1], self.sigma)
        entropy = nf.binary_cross_entropy_with_logits(logits, wanted, reduction="sum")
        return entropy / target[..., 2].sum().clamp(min=1)


def bumps(joints: Tensor, height: int, width: int, sigma: float) -> Tensor:
    """Heatmaps (B, J, height, width) of joints (B, J, 3); the middle of the first pixel is (0.5, 0.5)."""
    x = torch.arange(width, device=joints.device) + 0.5
    y = torch.arange(height, device=joints.device) + 0.5
    across = torch.exp(-((x - joints[..., :1]) ** 2) / (2 * sigma**2))
    down = torch.exp(-((y - joints[..., 1:2]) ** 2) / (2 * sigma**2))
    return down[..., None] * across[..., None, :] * joints[..., 2, None, None]


MapLoss = Annotated[DiceFocal | DepthLoss | NormalLoss | HeatmapLoss, Field(discriminator="kind"), Named]
