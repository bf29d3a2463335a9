"""A small picture beside the noise, noisy itself, for networks that make it large (Ho et al. 2021)."""

from __future__ import annotations

import torch

from sfumato.condition import Concat, Level
from sfumato.encode.encoder import Asked, Encoder
from sfumato.encode.reference_planes import at_size
from sfumato.noise import KeyedNoise
from sfumato.picture import BadInput
from sfumato.recipe.capabilities import Capabilities
from sfumato.schedule import Schedule, noised
from sfumato.space.pixels import to_tensor


class LowResolution(Encoder):
    """The reference picture at one pixel a cell, noised to `time` of a schedule of its own: augmentation, which hides
    what sets small pictures apart from those that the network was trained with (Ho et al. 2021, "Cascaded diffusion
    models", section 4). Each seed has its own noise."""

    tells = Capabilities(references=1)

    def __init__(self, factor: int, schedule: Schedule, time: float) -> None:
        self.factor, self.schedule, self.time = factor, schedule, time

    def __call__(self, batch: Asked) -> Concat:
        if not batch.references:
            raise BadInput("This model makes a picture larger: give the recipe that one, as images=[picture].")
        width, height = batch.size
        small = at_size(batch.references[0], (width // self.factor, height // self.factor))
        picture = to_tensor([small]).expand(len(batch.recipes), -1, -1, -1)
        noise = KeyedNoise([recipe.seed for recipe in batch.recipes])(picture, "low resolution")
        return Concat(noised(self.schedule, picture, self.time, noise))


class NoiseLevel(Encoder):
    """The time to which the planes beside the noise are noised."""

    def __init__(self, time: float) -> None:
        self.time = time

    def __call__(self, batch: Asked) -> Level:
        return Level(torch.full((len(batch.recipes),), self.time))
