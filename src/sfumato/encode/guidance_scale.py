"""The scale that a network with distilled guidance is told."""

from __future__ import annotations

import torch

from sfumato.condition import GuidanceScale
from sfumato.encode.encoder import Asked, Encoder
from sfumato.guide import Distilled
from sfumato.recipe.capabilities import Capabilities


class ToldScale(Encoder):
    """The scale of the recipe's `Distilled` guidance; 1, the undistilled answer, where it has none."""

    tells = Capabilities(distilled=True)

    def __call__(self, batch: Asked) -> GuidanceScale:
        scale = next((float(g.scale) for g in batch.recipes[0].guidance if isinstance(g, Distilled)), 1.0)
        return GuidanceScale(torch.full((len(batch.recipes),), scale))
