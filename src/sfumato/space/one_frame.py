"""The latents of an autoencoder of videos, for pictures: videos of one frame."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sfumato.network.autoencoder_kl import DECODER, ENCODER
from sfumato.network.engine import Eager, Engine
from sfumato.network.spec import device_of, own_dtype
from sfumato.space import Space, refuse_nan


class OneFrame(Space):
    """The latents of Qwen-Image's autoencoder (Wu et al. 2025, section 2.3), each channel at unit variance:

        z = (mean(x) - m)/s,      x = decoder(z s + m),      m and s its `latents_mean` and `latents_std`

    Latents are (B, C, h, w) as everywhere; the autoencoder sees videos of one frame, (B, C, 1, h, w). The mean of the
    posterior is used, never a sample. Decoding is differentiable in x.
    """

    def __init__(self, autoencoder: Any, engine: Engine | None = None):
        engine = engine or Eager()
        self.autoencoder = autoencoder
        self.encoder, self.decoder = (engine.prepare(autoencoder, spec) for spec in (ENCODER, DECODER))
        config = autoencoder.config
        self.factor = 2 ** len(config["temperal_downsample"])
        self.channels = int(config["z_dim"])
        self.mean, self.std = (
            torch.tensor(config[name], dtype=torch.float32)[None, :, None, None, None]
            for name in ("latents_mean", "latents_std")
        )

    @torch.no_grad()
    def encode(self, pictures: Tensor) -> Tensor:
        mean = self.encoder(pictures=self._own(pictures[:, :, None])).float()
        return refuse_nan((mean - self.mean.to(mean)) / self.std.to(mean), "autoencoder (vae)")[:, :, 0]

    def decode(self, x: Tensor) -> Tensor:
        x = refuse_nan(x, "network (transformer)")[:, :, None]
        z = x * self.std.to(x) + self.mean.to(x)
        return refuse_nan(self.decoder(z=self._own(z)).float(), "autoencoder (vae)")[:, :, 0]

    def _own(self, x: Tensor) -> Tensor:
        """On the autoencoder's device and in its number type."""
        return x.to(device_of(self.autoencoder), own_dtype(self.autoencoder))
