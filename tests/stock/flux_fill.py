"""FLUX.1 Fill, which is shown a mask and what it leaves; its pipeline needs `image` and `mask_image`."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from . import flux

NAME = "flux"
SIZE = flux.SIZE
CALL: dict[str, Any] = {"guidance_scale": 30.0}
BESIDE = 4 * (flux.CHANNELS + flux.FACTOR**2)  # what is left of the picture, and every pixel of the mask


def build() -> Any:
    return flux.build("FluxFillPipeline", beside=BESIDE)


def parity(theirs: Any, ours: Any) -> float:
    """Of the masked picture the mean is taken, as we do, instead of a draw."""
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

    from sfumato import Outside
    from stock.compare import error, ran, shown, stock
    from stock.edits import half, photo

    picture, mask, size = photo(SIZE), half(SIZE), {"width": SIZE[0], "height": SIZE[1]}
    walk = {"hold": Outside(mask, picture), "composite": "none", "steps": 4, "seed": 3, **size}
    start, end = ran(ours, "a red hat", **walk)
    with patch.object(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mode()):
        asked = {"image": picture, "mask_image": mask, "num_inference_steps": 4, **CALL, **size}
        return error(shown(ours, end), stock(theirs, "a red hat", latents=start[..., : 4 * flux.CHANNELS], **asked))
