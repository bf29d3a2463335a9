"""diffusers' `AutoencoderKL` as an engine runs it (Rombach et al. 2022)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from sfumato.network.spec import Input, NetworkSpec


def _mean(autoencoder: Any, pictures: Tensor) -> Tensor:
    """The mean of q(z | x); never a sample, so that encoding draws no noise."""
    return autoencoder.encode(pictures).latent_dist.mean


def _decoded(autoencoder: Any, z: Tensor) -> Tensor:
    return autoencoder.decode(z, return_dict=False)[0]


ENCODER = NetworkSpec({"pictures": Input(("rows", 3, "height", "width"))}, _mean)
DECODER = NetworkSpec({"z": Input(("rows", "channels", "height", "width"))}, _decoded)
