"""What the variational bound is made of: divergences and probabilities of Gaussians, in nats, element by element.

Means and log-variances are tensors or numbers that broadcast; the caller sums over a picture's elements.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

Number = Tensor | float


def kl(mean1: Number, logvar1: Number, mean2: Number, logvar2: Number) -> Tensor:
    """KL(N(mean1, e^logvar1) || N(mean2, e^logvar2)) = (e^d - 1 - d + (mean1 - mean2)^2 e^-logvar2)/2.

    d = logvar1 - logvar2. Written with expm1, so that nearly equal variances lose no digits; 0 where both are equal.
    """
    d = torch.as_tensor(logvar1 - logvar2)
    return (torch.expm1(d) - d + (mean1 - mean2) ** 2 * torch.exp(-torch.as_tensor(logvar2))) / 2


def log_density(x: Tensor, mean: Number, logvar: Number) -> Tensor:
    """log N(x; mean, e^logvar)."""
    logvar = torch.as_tensor(logvar)
    return -((x - mean).square() * torch.exp(-logvar) + logvar + math.log(2 * math.pi)) / 2


def discretized_log_likelihood(x: Tensor, mean: Number, logvar: Number, levels: int = 256) -> Tensor:
    """log of the probability that N(mean, e^logvar) falls into the bin of x, one of `levels` values in [-1, 1].

    Bins are 2/(levels - 1) wide and centred on the values; the first and the last reach to infinity, so that the
    probabilities of all values sum to 1 (Ho et al. 2020, eq. 13). Far from the mean it is the tail's logarithm, finite
    and with a gradient, where the papers' code clamps at 1e-12.
    """
    half, scale = 1 / (levels - 1), torch.exp(-torch.as_tensor(logvar) / 2)
    offset = x - mean
    near = -offset.abs()  # a bin and its mirror image weigh the same: on the lower side Phi keeps its digits
    low, high = (torch.special.log_ndtr((near + side) * scale) for side in (-half, half))
    tiny = torch.finfo(high.dtype).tiny
    inside = high + torch.log(-torch.expm1((low - high).clamp(max=-tiny)))
    below = torch.special.log_ndtr((offset + half) * scale)
    above = torch.special.log_ndtr((half - offset) * scale)
    return torch.where(x < half - 1, below, torch.where(x > 1 - half, above, inside))
