"""diffusers' `AutoencoderKL` as an engine runs it (Rombach et al. 2022)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sfumato.network.spec import Input, NetworkSpec
from sfumato.picture.errors import BadInput


def _moments(autoencoder: Any, pictures: Tensor) -> Tensor:
    """Mean and log variance of q(z | x) beside one another, (B, 2C, h, w)."""
    posterior = autoencoder.encode(pictures).latent_dist
    return torch.cat([posterior.mean, posterior.logvar], 1)


def _mean(autoencoder: Any, pictures: Tensor) -> Tensor:
    """The mean of q(z | x); never a sample, so that encoding draws no noise."""
    return autoencoder.encode(pictures).latent_dist.mean


def _decoded(autoencoder: Any, z: Tensor) -> Tensor:
    return autoencoder.decode(z, return_dict=False)[0]


def tile(autoencoder: Any, side: int, what: str) -> None:
    """Lets an autoencoder work in overlapping tiles of `side` pixels, which are blended into each other over a quarter
    of it, and one row after the other: memory for one tile is enough. A smaller picture is one tile.

    GroupNorm measures each tile by itself, so pictures change a little.
    """
    named = "tile_sample_min_height"
    try:
        autoencoder.enable_slicing()
        if hasattr(autoencoder, named):
            across, stride = ("height", "width"), side * 3 // 4
            sides = {f"tile_sample_min_{way}": side for way in across}
            autoencoder.enable_tiling(**sides, **{f"tile_sample_stride_{way}": stride for way in across})
        else:
            autoencoder.enable_tiling()
            factor = autoencoder.tile_sample_min_size // autoencoder.tile_latent_min_size
            autoencoder.tile_sample_min_size, autoencoder.tile_latent_min_size = side, side // factor
    except (AttributeError, NotImplementedError, TypeError):
        raise BadInput(f"The {what} is a {type(autoencoder).__name__}, which knows no tiles: leave tile out.") from None


PICTURES = {"pictures": Input(("rows", 3, "height", "width"))}
ENCODER = NetworkSpec(PICTURES, _mean)
MOMENTS = NetworkSpec(PICTURES, _moments)
DECODER = NetworkSpec({"z": Input(("rows", "channels", "height", "width"))}, _decoded)
