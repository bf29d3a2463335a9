"""A discriminator that learns beside what it judges: it tells pictures from reconstructions, patch by patch."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as nf
from torch import Tensor, nn
from torch.func import functional_call

from sfumato.element.section import Count, Few, Rate, Section, Width


class Adversary(Section):
    """The discriminator of Isola et al. 2017, whose answer the network hears from step `start` on. weight: of its
    gradient at the last layer, relative to that of all other terms (Esser et al. 2021, eq. 7)."""

    weight: Rate = 0.5
    start: Count = 1000
    channels: Width = 32
    layers: Few = 3


class PatchDiscriminator(nn.Module):
    """Pictures (B, 3, H, W) -> how real each patch looks (B, 1, h, w): `layers` convolutions 4 x 4 that halve, widths
    doubling up to 8 times the first, with LeakyReLU 0.2 (Isola et al. 2017, section 6.1.2). Groups are normalised
    instead of the batch, so that a picture's verdict does not depend on its neighbours."""

    def __init__(self, channels: int = 32, layers: int = 3) -> None:
        super().__init__()
        widths = [channels * min(2**i, 8) for i in range(layers)]
        found: list[nn.Module] = [nn.Conv2d(3, widths[0], 4, 2, 1), nn.LeakyReLU(0.2)]
        for before, after in pairwise(widths):
            found += [nn.Conv2d(before, after, 4, 2, 1), nn.GroupNorm(1, after), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*found, nn.Conv2d(widths[-1], 1, 3, 1, 1))

    def forward(self, pictures: Tensor) -> Tensor:
        return self.layers(pictures)


def told_apart(discriminator: nn.Module, real: Tensor, made: Tensor) -> Tensor:
    """The hinge loss that the discriminator learns by (Lim and Ye 2017): mean max(0, 1 - D(real)) / 2 + mean
    max(0, 1 + D(made)) / 2. What made the pictures learns nothing of it."""
    return (nf.relu(1 - discriminator(real)).mean() + nf.relu(1 + discriminator(made.detach())).mean()) / 2


def taken_for_real(discriminator: nn.Module, made: Tensor) -> Tensor:
    """-mean D(made), by which what made the pictures learns; the discriminator learns nothing of it."""
    fixed = {name: weight.detach() for name, weight in discriminator.named_parameters()}
    return -functional_call(discriminator, fixed, (made,)).mean()


def balanced(others: Tensor, adversarial: Tensor, last: Tensor) -> Tensor:
    """|d others / d last| / |d adversarial / d last|, `last` the weights of the network's last layer: with it both
    terms pull equally there (Esser et al. 2021, eq. 7). At most 10,000."""
    of_others, of_it = (torch.autograd.grad(loss, last, retain_graph=True)[0].norm() for loss in (others, adversarial))
    return (of_others / (of_it + 1e-6)).clamp(max=1e4).detach()
