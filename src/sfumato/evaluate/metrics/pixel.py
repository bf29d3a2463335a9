"""How near two pictures (B, C, H, W) in [-1, 1] are, pixel by pixel: PSNR, largest and mean difference, SSIM."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from sfumato.evaluate.metric import METRICS, PairMetric
from sfumato.lazy import Tensor, torch

Local = Callable[[Tensor], Tensor]
WINDOW = 11  # a side of SSIM's window


def psnr(x: Tensor, y: Tensor, where: Tensor | None = None) -> Tensor:
    """Peak signal-to-noise ratio of each picture in dB, (B,): -10 log10 mean(((x - y)/2)^2); 120 for equal ones.

    where (1 or B, 1, H, W) in [0, 1], or bool, weighs the pixels: of the background alone, or of the edited part.
    """
    error = ((x - y) / 2).square()
    return -10 * torch.log10(_mean(error, where).clamp(min=1e-12))


class Difference(NamedTuple):
    """How far pictures are apart, each (B,): the largest and the mean difference in levels of 255, and the PSNR."""

    max: Tensor
    mean: Tensor
    psnr: Tensor


def difference(x: Tensor, y: Tensor, where: Tensor | None = None) -> Difference:
    """The background error where `where` is what an edit must keep: max and mean of 127.5 |x - y|, and the PSNR.

    `where` as in `psnr`; pixels where it is 0 don't count towards the largest difference.
    """
    levels = 127.5 * (x - y).abs()
    counted = levels if where is None else levels * (where > 0)
    return Difference(counted.flatten(1).amax(1), _mean(levels, where), psnr(x, y, where))


def _mean(values: Tensor, where: Tensor | None) -> Tensor:
    if where is None:
        return values.flatten(1).mean(1)
    weights = where.to(values).expand_as(values)
    return (weights * values).flatten(1).sum(1) / weights.flatten(1).sum(1).clamp(min=1e-12)


def box_window(z: Tensor, side: int = 7) -> Tensor:
    """The mean of each window of side x side pixels."""
    return torch.nn.functional.avg_pool2d(z, side, 1)


def gaussian_window(z: Tensor, side: int = WINDOW, sigma: float = 1.5) -> Tensor:
    """The mean of each window, weighted by a Gaussian: Wang et al.'s window of 11 pixels and sigma 1.5."""
    at = torch.arange(side, dtype=z.dtype, device=z.device) - (side - 1) / 2
    row = torch.exp(-at.square() / (2 * sigma**2))
    row = (row / row.sum()).expand(z.shape[1], 1, 1, side)
    along = partial(torch.nn.functional.conv2d, groups=z.shape[1])
    return along(along(z, row), row.transpose(-1, -2))


def ssim(x: Tensor, y: Tensor, local: Local = gaussian_window) -> Tensor:
    """Structural similarity of each picture, (B,), from -1 to 1 = equal (Wang et al. 2004, eq. 13, over all windows):

        (2 m_x m_y + c_1)(2 s_xy + c_2) / ((m_x^2 + m_y^2 + c_1)(s_x^2 + s_y^2 + c_2)),     c = (0.01 L)^2, (0.03 L)^2

    of the pictures in [0, L], L = 1; means, variances and covariance are taken by `local`, `gaussian_window` (the
    paper's) or `box_window`. Windows that leave the picture are left out, and colours are compared channel by channel.
    """
    x, y, c1, c2 = (x + 1) / 2, (y + 1) / 2, 0.01**2, 0.03**2
    mx, my = local(x), local(y)
    vx, vy, cov = local(x * x) - mx * mx, local(y * y) - my * my, local(x * y) - mx * my
    similar = (2 * mx * my + c1) * (2 * cov + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))
    return similar.flatten(1).mean(1)


METRICS.add(
    "psnr",
    PairMetric(
        title="PSNR in dB",
        better="higher",
        source="mean squared error of the pairs",
        load=lambda weights: (psnr, "pixels"),
    ),
)
METRICS.add(
    "ssim",
    PairMetric(
        title="SSIM",
        better="higher",
        source="Wang et al. 2004",
        load=lambda weights: (ssim, "pixels"),
        smallest=WINDOW,
    ),
)
