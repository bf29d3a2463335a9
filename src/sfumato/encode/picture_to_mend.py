"""A picture to be mended, as its task shows it beside the noise (Saharia et al. 2022, "Palette")."""

from __future__ import annotations

from sfumato.condition import Concat
from sfumato.edit.palette import seen
from sfumato.encode.encoder import Asked, Encoder
from sfumato.noise import KeyedNoise
from sfumato.picture import BadInput
from sfumato.recipe.capabilities import Capabilities
from sfumato.space.pixels import mask_to_tensor, to_tensor


class PictureToMend(Encoder):
    """What the recipe's task shows of its `source`, (B, 3, H, W); a hole is full of each seed's own noise."""

    def __init__(self, tasks: tuple[str, ...]) -> None:
        self.tells = Capabilities(tasks=tasks)

    def __call__(self, batch: Asked) -> Concat:
        recipes, shown = batch.recipes, batch.images.get("source")
        source = recipes[0].source
        if source is None or shown is None:
            raise BadInput("This model mends a picture: give the recipe a source.")
        picture = to_tensor([shown]).expand(len(recipes), -1, -1, -1)
        mask = None if batch.mask is None else mask_to_tensor(batch.mask)
        noise = KeyedNoise([recipe.seed for recipe in recipes])(picture, "beside")
        return Concat(seen(source.task, picture, mask, noise))
