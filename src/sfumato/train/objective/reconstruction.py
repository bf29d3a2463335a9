"""How far a picture is from the one that it should be: the terms that autoencoders are trained by."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as nf
from torch import Tensor, nn

from sfumato.element.section import Rate, Section


def gradient_l1(x: Tensor, y: Tensor) -> Tensor:
    """Mean absolute difference of the finite differences along both axes: keeps edges sharp."""
    horizontal = (x.diff(dim=-1) - y.diff(dim=-1)).abs().mean()
    return horizontal + (x.diff(dim=-2) - y.diff(dim=-2)).abs().mean()


def pyramid_l1(x: Tensor, y: Tensor, levels: int = 3) -> Tensor:
    """Mean over `levels` halvings of the L1 distance: weighs broad colour, which L1 on pixels settles last."""
    total = x.new_zeros(())
    for _ in range(levels):
        x, y = nf.avg_pool2d(x, 2), nf.avg_pool2d(y, 2)
        total = total + (x - y).abs().mean()
    return total / levels


DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""From a pixel to the next: rows down, columns to the right."""


def texture_l1(x: Tensor, y: Tensor, window: int = 8) -> Tensor:
    """Mean absolute difference of local contrast of grey pictures (B, C, H, W), over two scales and four directions:

        | mean_w |d x| - mean_w |d y| |,   d the difference to the next pixel, mean_w the mean over a window

    It says how strong strokes are and which way they go, and leaves open where exactly they lie, in the spirit of
    Portilla & Simoncelli 2000. L1 is smallest where a stroke that can't be foreseen is left out: with it and gradients
    alone an oil painting comes back flat.
    """
    total = x.new_zeros(())
    x, y = x.mean(1, keepdim=True), y.mean(1, keepdim=True)
    for scale in range(2):
        if scale:
            x, y = nf.avg_pool2d(x, 2), nf.avg_pool2d(y, 2)
        for way in DIRECTIONS:
            total = total + (_contrast(x, way, window) - _contrast(y, way, window)).abs().mean()
    return total / (2 * len(DIRECTIONS))


def _contrast(x: Tensor, way: tuple[int, int], window: int) -> Tensor:
    """The mean over windows, half of which overlaps the next, of |the next pixel on the way - the pixel|."""
    (down, right), (height, width) = way, x.shape[-2:]
    first, last = max(-right, 0), width - max(right, 0)
    difference = x[..., down:, first + right : last + right] - x[..., : height - down, first:last]
    window = min(window, *difference.shape[-2:])
    return nf.avg_pool2d(difference.abs(), window, max(window // 2, 1), ceil_mode=True)


class Perceptual(Section):
    """How different two pictures look to a frozen network: LPIPS, whose weights lie in the folder `lpips`, or what the
    built-in judge sees."""

    weight: Rate = 1.0
    lpips: Path | None = None

    def distance(self) -> nn.Module:
        """d(x, y) of pictures (B, 3, H, W) in [-1, 1], (B,), its network frozen. Raises BadInput without weights."""
        if self.lpips is None:
            return JudgedDistance()
        from sfumato.evaluate.metrics.lpips import lpips

        return lpips(str(self.lpips))


class JudgedDistance(nn.Module):
    """LPIPS (Zhang et al. 2018, eq. 1) with the judge's features and without weights of its own: the sum over blocks of

        mean over places of |f(x) - f(y)|^2,    f of unit length at every place.

    Pictures are seen at their own size, of which an odd last row or column is left out.
    """

    def __init__(self) -> None:
        from sfumato.evaluate.judge import Judge

        super().__init__()
        self.trunk = Judge.load().trunk.eval().requires_grad_(False)

    def maps(self, x: Tensor) -> list[Tensor]:
        """The map before each halving, and the last, at unit length."""
        found = []
        x = x[..., : x.shape[-2] // 2 * 2, : x.shape[-1] // 2 * 2]
        for layer in self.trunk:
            if isinstance(layer, nn.Conv2d) and layer.stride[0] > 1:
                found.append(x)
            x = layer(x)
        return [nf.normalize(each, dim=1) for each in (*found, x)]

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        pairs = zip(self.maps(x), self.maps(y), strict=True)
        return torch.stack([(a - b).square().sum(1).mean((1, 2)) for a, b in pairs]).sum(0)
