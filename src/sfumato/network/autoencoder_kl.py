"""diffusers' `AutoencoderKL` as an engine runs it (Rombach et al. 2022)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sfumato.network.spec import Input, NetworkSpec


def _moments(autoencoder: Any, pictures: Tensor) -> Tensor:
    """Mean and log variance of q(z | x) beside one another, (B, 2C, h, w)."""
    posterior = autoencoder.encode(pictures).latent_dist
    return torch.cat([posterior.mean, posterior.logvar], 1)


def _mean(autoencoder: Any, pictures: Tensor) -> Tensor:
    """The mean of q(z | x); never a sample, so that encoding draws no noise."""
    return autoencoder.encode(pictures).latent_dist.mean


def _decoded(autoencoder: Any, z: Tensor) -> Tensor:
    return autoencoder.decode(z, return_dict=False)[0]


PICTURES = {"pictures": Input(("rows", 3, "height", "width"))}
ENCODER = NetworkSpec(PICTURES, _mean)
MOMENTS = NetworkSpec(PICTURES, _moments)
DECODER = NetworkSpec({"z": Input(("rows", "channels", "height", "width"))}, _decoded)
