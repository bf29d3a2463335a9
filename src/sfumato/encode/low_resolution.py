"""A small picture beside the noise, noisy itself, for networks that make it large (Ho et al. 2021)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from sfumato.condition import Concat, Level
from sfumato.encode.encoder import Asked, Encoder
from sfumato.encode.reference_planes import at_size
from sfumato.noise import KeyedNoise
from sfumato.picture import BadInput
from sfumato.recipe.capabilities import Capabilities
from sfumato.schedule import Schedule, noised
from sfumato.space.pixels import to_tensor


class LowResolution(Encoder):
    """The picture that is to become `factor` times larger, noised to `time` of a schedule of its own: augmentation,
    which hides what sets small pictures apart from those that the network was trained with (Ho et al. 2021, "Cascaded
    diffusion models", section 4). It is what the stage before made, and the reference picture where there is none.

    pixels: whether the network paints pixels, beside which the small picture stands enlarged, bilinearly, corner upon
    corner; otherwise it has as many pixels as there are cells. key: what its noise is for. Each seed has its own.
    """

    tells = Capabilities(references=1)
    follows = True

    def __init__(
        self, factor: int, schedule: Schedule, time: float, pixels: bool = False, key: str = "low resolution"
    ) -> None:
        self.factor, self.schedule, self.time, self.pixels, self.key = factor, schedule, time, pixels, key

    def __call__(self, batch: Asked) -> Concat:
        width, height = batch.size
        small = small_picture(batch, (width // self.factor, height // self.factor))
        if self.pixels:
            small = functional.interpolate(small, (height, width), mode="bilinear", align_corners=True)
        noise = KeyedNoise([recipe.seed for recipe in batch.recipes])(small, self.key)
        return Concat(noised(self.schedule, small, self.time, noise))


class NoiseLevel(Encoder):
    """The time to which the planes beside the noise are noised."""

    def __init__(self, time: float) -> None:
        self.time = time

    def __call__(self, batch: Asked) -> Level:
        return Level(torch.full((len(batch.recipes),), self.time))


def small_picture(batch: Asked, size: tuple[int, int]) -> Tensor:
    """What is to become larger, at a (width, height), a row for each recipe: what the stage before made, or the
    reference picture. Raises BadInput where there is neither."""
    if batch.before is not None:
        exact = batch.before.shape[:1:-1] == size
        options = {"mode": "bicubic", "antialias": True}
        return batch.before if exact else functional.interpolate(batch.before, size[::-1], **options)
    if not batch.references:
        raise BadInput("This model makes a picture larger: give the recipe that one, as images=[picture].")
    return to_tensor([at_size(batch.references[0], size)]).expand(len(batch.recipes), -1, -1, -1)
