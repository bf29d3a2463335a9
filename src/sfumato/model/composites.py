"""How results are put into the picture that was held: the composites by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
from PIL import Image
from torch import Tensor

from sfumato.edit import optimise_latent, paste, poisson, tune_decoder
from sfumato.edit.reconstruct import STEPS
from sfumato.model.scene import Scene
from sfumato.picture import BadInput
from sfumato.space import Latent
from sfumato.space.pixels import mask_to_tensor, to_images, to_tensor

Apply = Callable[[Scene, Tensor | None, list[Image.Image]], Iterator[list[Image.Image]]]


@dataclass(frozen=True)
class Composite:
    """How the result is put into the held picture.

    `apply` gets the scene, x at its end (None where nothing was sampled) and the pictures decoded from it, and yields
    pictures as they become: `steps` a picture that are not yet done (optimisation shows its progress), then the last.
    `latent`: only where the model diffuses an autoencoder's latents.
    """

    apply: Apply
    steps: int = 0
    latent: bool = False


def composite(scene: Scene) -> Composite:
    """The composite that the scene's recipe names. Raises BadInput where its model can't have it."""
    recipe = scene.recipe
    found = COMPOSITES[recipe.composite]
    if found.latent and not isinstance(scene.space, Latent):
        raise BadInput(
            f"The composite {recipe.composite} moves an autoencoder's latents or weights, and {recipe.model} paints "
            "pixels without one: choose paste or poisson."
        )
    return found


def untouched(scene: Scene, x: Tensor | None, pictures: list[Image.Image]) -> Iterator[list[Image.Image]]:
    yield pictures


def pasted(scene: Scene, x: Tensor | None, pictures: list[Image.Image]) -> Iterator[list[Image.Image]]:
    """Outside the mask, the held picture's own bytes."""
    yield _within(scene, pictures, paste)


def cloned(scene: Scene, x: Tensor | None, pictures: list[Image.Image]) -> Iterator[list[Image.Image]]:
    """The same, with the held picture's colours at the mask's edge."""
    yield _within(scene, pictures, poisson)


Ways = Callable[[Scene, Tensor, Tensor, Tensor], Iterator[Tensor]]


def reconstructed(
    ways: Ways, scene: Scene, x: Tensor | None, pictures: list[Image.Image]
) -> Iterator[list[Image.Image]]:
    """Pasted after latents or weights were moved, one picture after the other."""
    held = scene.given.held or scene.given.start
    if x is not None and scene.masks and held is not None:
        original, pictures = to_tensor([held]).to(x.device), list(pictures)
        for row, (z, mask) in enumerate(zip(x.float().split(1), _masks(scene), strict=True)):
            for index, drawn in enumerate(ways(scene, z, original, mask_to_tensor(mask).to(x.device))):
                pictures[row] = to_images(drawn)[0]
                if index < STEPS:
                    yield pictures
    yield from pasted(scene, x, pictures)


def latents_moved(scene: Scene, z: Tensor, original: Tensor, mask: Tensor) -> Iterator[Tensor]:
    return optimise_latent(scene.space.decode, z, original, mask)


def decoder_tuned(scene: Scene, z: Tensor, original: Tensor, mask: Tensor) -> Iterator[Tensor]:
    decoder = cast(Latent, scene.space).autoencoder.decoder
    return tune_decoder(scene.space.decode, decoder, z, original, mask)


COMPOSITES: dict[str, Composite] = {
    "paste": Composite(pasted),
    "poisson": Composite(cloned),
    "latent": Composite(partial(reconstructed, latents_moved), STEPS, latent=True),
    "decoder": Composite(partial(reconstructed, decoder_tuned), STEPS, latent=True),
    "none": Composite(untouched),
}


def _within(scene: Scene, pictures: list[Image.Image], put: Callable) -> list[Image.Image]:
    """Each picture put into the held one by `put`; as it is where nothing is held by a mask."""
    held = scene.given.held or scene.given.start
    if not scene.masks or held is None:
        return pictures
    original = np.asarray(held)
    pairs = zip(pictures, _masks(scene), strict=True)
    return [Image.fromarray(put(original, np.asarray(picture), np.asarray(mask))) for picture, mask in pairs]


def _masks(scene: Scene) -> list[Image.Image]:
    """The mask of every row; without its soft edge where the whole picture's own mask blends it in afterwards."""
    if scene.given.whole is None:
        return scene.masks
    return [mask.point(lambda value: 255 if value else 0) for mask in scene.masks]
