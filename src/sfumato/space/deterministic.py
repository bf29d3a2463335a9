"""The latents of autoencoders without a posterior."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sfumato.network.engine import Engine
from sfumato.network.precision import in_float32
from sfumato.network.spec import Input, NetworkSpec
from sfumato.space import Autoencoded, refuse_nan


class Deterministic(Autoencoded):
    """z = encoder(x) scale, x = decoder(z/scale), of an `AutoencoderDC` (Chen et al. 2024, "Deep Compression
    Autoencoder"; 32 pixels a cell) or a `VQModel`, whose decoder looks its codes up first (Esser et al. 2021, "VQGAN").

    scale: the config's scaling_factor, unless the latents are as the autoencoder has them. looked_up: whether a
    VQModel's decoder looks its codes up; a `MoVQ`'s is shown the latents themselves.
    """

    def __init__(
        self,
        autoencoder: Any,
        engine: Engine | None = None,
        scale: float | None = None,
        looked_up: bool = True,
    ):
        super().__init__(autoencoder, engine, ENCODER, DECODER if looked_up else UNQUANTISED)
        config = autoencoder.config
        widths = config.get("encoder_block_out_channels") or config["block_out_channels"]
        self.factor = 2 ** (len(widths) - 1)
        self.channels = int(config.get("vq_embed_dim") or config["latent_channels"])
        self.scale = float(config["scaling_factor"]) if scale is None else scale

    @torch.no_grad()
    def encode(self, pictures: Tensor) -> Tensor:
        return refuse_nan(self._encoded(pictures) * self.scale, "autoencoder (vae)")

    def decode(self, x: Tensor) -> Tensor:
        return self._decoded(refuse_nan(x, "network") / self.scale)


def _encoded(autoencoder: Any, pictures: Tensor) -> Tensor:
    return autoencoder.encode(pictures, return_dict=False)[0]


def _decoded(autoencoder: Any, z: Tensor) -> Tensor:
    if z.dtype == torch.float32 or not hasattr(autoencoder, "quantize"):
        return autoencoder.decode(z, return_dict=False)[0]
    with in_float32(autoencoder.quantize):  # distances to codes can't be taken in half precision
        codes = autoencoder.quantize(z.float())[0]
    return _unquantised(autoencoder, codes.to(z.dtype))


def _unquantised(autoencoder: Any, z: Tensor) -> Tensor:
    return autoencoder.decode(z, force_not_quantize=True, return_dict=False)[0]


ENCODER = NetworkSpec({"pictures": Input(("rows", 3, "height", "width"))}, _encoded)
DECODER = NetworkSpec({"z": Input(("rows", "channels", "height", "width"))}, _decoded)
UNQUANTISED = NetworkSpec({"z": Input(("rows", "channels", "height", "width"))}, _unquantised)
