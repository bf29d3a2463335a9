"""Where a stage diffuses: pixels themselves, an autoencoder's latents, or vectors. All are of one kind, `Space`."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor

from sfumato.edit.palette import luma
from sfumato.network.autoencoder_kl import DECODER, ENCODER
from sfumato.network.engine import Eager, Engine, Run
from sfumato.network.offload import called
from sfumato.network.precision import in_float32
from sfumato.network.spec import NetworkSpec, device_of, own_dtype
from sfumato.picture import BadInput


class Space:
    """A space and the way between it and pictures, float tensors (B, 3, H, W) in [-1, 1].

    factor: pixels along one side of a cell. channels: numbers in a cell.
    """

    factor: int
    channels: int
    paints: ClassVar[bool] = True
    """Whether what is decoded is a picture."""

    def encode(self, pictures: Tensor) -> Tensor:
        raise NotImplementedError

    def decode(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def cells(self, size: tuple[int, int]) -> tuple[int, int]:
        """(rows, columns) of the cells of a picture of (width, height)."""
        width, height = size
        return height // self.factor, width // self.factor


class Pixel(Space):
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


class Autoencoded(Space):
    """A space of the latents of an autoencoder, which is run by `_encoded` and `_decoded` alone.

    In float16, whose largest number is 65,504, some autoencoders overflow: rows that do are computed again in float32,
    so that what becomes of one picture doesn't depend on its neighbours.
    """

    def __init__(
        self,
        autoencoder: Any,
        engine: Engine | None = None,
        encoder: NetworkSpec = ENCODER,
        decoder: NetworkSpec = DECODER,
    ):
        engine = engine or Eager()
        self.autoencoder = autoencoder
        self.encoder, self.decoder = (engine.prepare(autoencoder, spec) for spec in (encoder, decoder))

    def _encoded(self, pictures: Tensor) -> Tensor:
        """What the encoder says of pictures, in float32."""
        return self._run(self.encoder, "pictures", pictures)

    def _decoded(self, z: Tensor) -> Tensor:
        """What the decoder makes of its own latents, in float32. Raises BadInput where that isn't finite."""
        return refuse_nan(self._run(self.decoder, "z", z), "autoencoder (vae)")

    def _run(self, run: Run, name: str, x: Tensor) -> Tensor:
        """The autoencoder's answer in float32, of x on its device and in its number type."""
        x = x.to(device_of(self.autoencoder))
        with called(self.autoencoder, (x,)):  # no other thread in between
            own = own_dtype(self.autoencoder)
            answer = run(**{name: x.to(own)}).float()
            if own != torch.float16 or answer.is_meta:
                return answer
            fine = answer.isfinite().flatten(1).all(1)
            if fine.all():
                return answer
            with in_float32(self.autoencoder):
                again = run(**{name: x[~fine].float()})
            return answer.index_copy(0, (~fine).nonzero()[:, 0], again)


class Latent(Autoencoded):
    """The latents of a KL autoencoder (Rombach et al. 2022), shifted and scaled to unit variance:

        z = (mean(x) - shift) * scale,      x = decoder(z / scale + shift)

    The mean of the posterior is used, never a sample, so that encoding draws no noise. Decoding is differentiable in x.
    """

    def __init__(self, autoencoder: Any, engine: Engine | None = None):
        super().__init__(autoencoder, engine)
        config = autoencoder.config
        self.factor = 2 ** (len(config["block_out_channels"]) - 1)
        self.channels = int(config["latent_channels"])
        self.scale = float(config["scaling_factor"])
        self.shift = float(config.get("shift_factor") or 0.0)

    @torch.no_grad()
    def encode(self, pictures: Tensor) -> Tensor:
        return refuse_nan((self._encoded(pictures) - self.shift) * self.scale, "autoencoder (vae)")

    def decode(self, x: Tensor) -> Tensor:
        return self._decoded(refuse_nan(x, "network (unet)") / self.scale + self.shift)


def refuse_nan(answer: Tensor, part: str, where: str = "") -> Tensor:
    """The answer. Raises BadInput, which names the part of the model and `where` it was, if it is not finite."""
    # a sum is finite only where every number is: one pass, and others only where it is not
    if answer.device.type != "meta" and not (math.isfinite(answer.sum().item()) or bool(answer.isfinite().all())):
        raise BadInput(
            f"The {part} answered NaN or infinity{where and ' ' + where}: its weights are damaged, or they overflow in "
            "this precision. Nothing is saved; try precision float32, or copy the weights again."
        )
    return answer
