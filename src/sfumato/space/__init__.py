"""Where a stage diffuses: pixels themselves, or an autoencoder's latents. Both are values of one kind, `Space`."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from sfumato.edit.palette import luma
from sfumato.network.autoencoder_kl import DECODER, ENCODER
from sfumato.network.engine import Eager, Engine
from sfumato.network.spec import device_of, own_dtype
from sfumato.picture import BadInput


class Space(Protocol):
    """A space and the way between it and pictures, float tensors (B, 3, H, W) in [-1, 1]."""

    factor: int  # pixels along one side of a cell
    channels: int

    def encode(self, pictures: Tensor) -> Tensor: ...
    def decode(self, x: Tensor) -> Tensor: ...


class Pixel:
    """Pictures themselves: encode and decode are the identity.

    With one channel, encode takes the luma 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), as Pillow does, and decode
    repeats it: a grey picture stays as it is.
    """

    factor = 1

    def __init__(self, channels: int = 3):
        self.channels = channels

    def encode(self, pictures: Tensor) -> Tensor:
        if self.channels == 3:
            return pictures
        return luma(pictures)

    def decode(self, x: Tensor) -> Tensor:
        return refuse_nan(x, "network (unet)").expand(-1, 3, -1, -1)


class Latent:
    """The latents of a KL autoencoder (Rombach et al. 2022), shifted and scaled to unit variance:

        z = (mean(x) - shift) * scale,      x = decoder(z / scale + shift)

    The mean of the posterior is used, never a sample, so that encoding draws no noise. Decoding is differentiable in x.
    """

    def __init__(self, autoencoder: Any, engine: Engine | None = None):
        engine = engine or Eager()
        self.autoencoder = autoencoder
        self.encoder, self.decoder = (engine.prepare(autoencoder, spec) for spec in (ENCODER, DECODER))
        config = autoencoder.config
        self.factor = 2 ** (len(config["block_out_channels"]) - 1)
        self.channels = int(config["latent_channels"])
        self.scale = float(config["scaling_factor"])
        self.shift = float(config.get("shift_factor") or 0.0)

    @torch.no_grad()
    def encode(self, pictures: Tensor) -> Tensor:
        mean = self.encoder(pictures=self._own(pictures))
        return refuse_nan((mean.float() - self.shift) * self.scale, "autoencoder (vae)")

    def decode(self, x: Tensor) -> Tensor:
        z = refuse_nan(x, "network (unet)") / self.scale + self.shift
        return refuse_nan(self.decoder(z=self._own(z)).float(), "autoencoder (vae)")

    def _own(self, x: Tensor) -> Tensor:
        """On the autoencoder's device and in its number type."""
        return x.to(device_of(self.autoencoder), own_dtype(self.autoencoder))


def refuse_nan(answer: Tensor, part: str, where: str = "") -> Tensor:
    """The answer. Raises BadInput, which names the part of the model and `where` it was, if it is not finite."""
    if answer.device.type != "meta" and not bool(answer.isfinite().all()):
        raise BadInput(
            f"The {part} answered NaN or infinity{where and ' ' + where}: its weights are damaged, or they overflow in "
            "this precision. Nothing is saved; try precision float32, or copy the weights again."
        )
    return answer
