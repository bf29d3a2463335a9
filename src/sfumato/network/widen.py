"""A trained network made larger without a change in what it computes: more channels at its ends, more attention."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def widened(weights: Mapping[str, Tensor], channels: int, name: str = "conv_in.weight") -> dict[str, Tensor]:
    """The weights with zeros for the input channels that the convolution `name` (O, I, k, k) lacks up to `channels`.

    Zeros times the new planes add nothing: the widened network answers as the old one, whatever stands there, and
    learns from there (as Stable Diffusion's inpainting model did: Rombach et al. 2022, section 4.5).
    """
    kernel = weights[name]
    missing = channels - kernel.shape[1]
    if missing <= 0:
        return dict(weights)
    wide = kernel.new_zeros(kernel.shape[0], channels, *kernel.shape[2:])
    wide[:, : kernel.shape[1]] = kernel
    return {**weights, name: wide}


def answering(weights: Mapping[str, Tensor], channels: int, name: str = "conv_out") -> dict[str, Tensor]:
    """A network's weights with zeros behind those of its last convolution, so that it answers `channels` channels: the
    new ones 0, the others as before."""
    wider = dict(weights)
    for each in (f"{name}.weight", f"{name}.bias"):
        own = weights[each]
        more = own.new_zeros(max(0, channels - len(own)), *own.shape[1:])
        wider[each] = torch.cat([own, more])
    return wider


def attending(weights: Mapping[str, Tensor], fresh: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights with those of `fresh` for the transformer blocks of a U-Net that they lack, whose last projections
    are zeros: what the blocks add is 0 at first, and they learn from there (as ControlNet's zero convolutions do:
    Zhang et al. 2023, section 3.1)."""
    more = {name: value for name, value in fresh.items() if name not in weights and ".attentions." in name}
    zeros = {name: torch.zeros_like(value) for name, value in more.items() if ".proj_out." in name}
    return {**weights, **more, **zeros}
