"""The latents of an autoencoder of videos, for pictures: videos of one frame."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sfumato.network.engine import Engine
from sfumato.space import Autoencoded, refuse_nan


class OneFrame(Autoencoded):
    """The latents of Qwen-Image's autoencoder (Wu et al. 2025, section 2.3), each channel at unit variance:

        z = (mean(x) - m)/s,      x = decoder(z s + m),      m and s its `latents_mean` and `latents_std`

    Latents are (B, C, h, w) as everywhere; the autoencoder sees videos of one frame, (B, C, 1, h, w). The mean of the
    posterior is used, never a sample. Decoding is differentiable in x.
    """

    def __init__(self, autoencoder: Any, engine: Engine | None = None):
        super().__init__(autoencoder, engine)
        config = autoencoder.config
        self.factor = 2 ** len(config["temperal_downsample"])
        self.channels = int(config["z_dim"])
        self.mean, self.std = (
            torch.tensor(config[name], dtype=torch.float32)[None, :, None, None, None]
            for name in ("latents_mean", "latents_std")
        )

    @torch.no_grad()
    def encode(self, pictures: Tensor) -> Tensor:
        mean = self._encoded(pictures[:, :, None])
        return refuse_nan((mean - self.mean.to(mean)) / self.std.to(mean), "autoencoder (vae)")[:, :, 0]

    def decode(self, x: Tensor) -> Tensor:
        x = refuse_nan(x, "network (transformer)")[:, :, None]
        return self._decoded(x * self.std.to(x) + self.mean.to(x))[:, :, 0]
