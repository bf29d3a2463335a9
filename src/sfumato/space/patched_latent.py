"""The latents of FLUX.2's autoencoder: 2 x 2 of its own in one cell, each channel at zero mean and unit variance."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from sfumato.network.engine import Engine
from sfumato.space import Autoencoded, refuse_nan


class PatchedLatent(Autoencoded):
    """The latents of an `AutoencoderKLFlux2` (Black Forest Labs 2025), normalised by the running mean m and variance v
    of a batch norm that was trained with it:

        z = (patches(mean(x)) - m)/sqrt(v + eps),      x = decoder(pictures(z sqrt(v + eps) + m))

    The mean of the posterior is used, never a sample. Decoding is differentiable in x.
    """

    def __init__(self, autoencoder: Any, engine: Engine | None = None):
        super().__init__(autoencoder, engine)
        config = autoencoder.config
        self.side = int(config["patch_size"][0])
        self.factor = self.side * 2 ** (len(config["block_out_channels"]) - 1)
        self.channels = int(config["latent_channels"]) * math.prod(config["patch_size"])

    @torch.no_grad()
    def encode(self, pictures: Tensor) -> Tensor:
        latents = pixel_unshuffle(self._encoded(pictures), self.side)
        mean, deviation = self._statistics(latents)
        return refuse_nan((latents - mean) / deviation, "autoencoder (vae)")

    def decode(self, x: Tensor) -> Tensor:
        mean, deviation = self._statistics(x)
        z = pixel_shuffle(refuse_nan(x, "network (transformer)") * deviation + mean, self.side)
        return self._decoded(z)

    def _statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The mean and the standard deviation of every channel."""
        norm = self.autoencoder.bn
        mean, variance = (a.to(x)[None, :, None, None] for a in (norm.running_mean, norm.running_var))
        return mean, (variance + float(self.autoencoder.config["batch_norm_eps"])).sqrt()
