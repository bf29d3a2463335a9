"""A reference picture as planes beside the noise, for networks that edit it as they are told."""

from __future__ import annotations

import torch
from PIL import Image

from sfumato.condition import Concat
from sfumato.encode.encoder import Asked, Encoder
from sfumato.recipe.capabilities import Capabilities
from sfumato.space import Latent
from sfumato.space.pixels import to_tensor


class ReferencePlanes(Encoder):
    """The first reference picture's latents as the autoencoder gives them, neither scaled nor shifted (Brooks et al.
    2023, "InstructPix2Pix", section 3.2); zeros where a recipe has none, as half of the training had."""

    tells = Capabilities(references=1)

    def __init__(self, space: Latent) -> None:
        self.space = space

    def __call__(self, batch: Asked) -> Concat:
        width, height = batch.size
        rows, factor = len(batch.recipes), self.space.factor
        if not batch.references:
            return Concat(torch.zeros(rows, self.space.channels, height // factor, width // factor))
        latents = self.space.encode(to_tensor([at_size(batch.references[0], batch.size)]))
        return Concat((latents / self.space.scale + self.space.shift).expand(rows, -1, -1, -1))


def at_size(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture at a (width, height)."""
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)
