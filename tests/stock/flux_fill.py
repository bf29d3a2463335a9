"""FLUX.1 Fill, which is shown a mask and what it leaves; its pipeline needs `image` and `mask_image`."""

from __future__ import annotations

from typing import Any

from . import flux

NAME = "flux"
SIZE = flux.SIZE
CALL: dict[str, Any] = {"guidance_scale": 30.0}
BESIDE = 4 * (flux.CHANNELS + flux.FACTOR**2)  # what is left of the picture, and every pixel of the mask


def build() -> Any:
    return flux.build("FluxFillPipeline", beside=BESIDE)
