"""Stable Diffusion's image variations."""

from __future__ import annotations

from typing import Any

from stock.unets import SIDE, eye, parts

NAME = "image-variations"
SIZE = (SIDE, SIDE)
CALL: dict[str, Any] = {}


def build() -> Any:
    from diffusers import StableDiffusionImageVariationPipeline

    found, seen = parts(texts=False), eye()
    return StableDiffusionImageVariationPipeline(
        **found,
        image_encoder=seen["image_encoder"],
        feature_extractor=seen["image_processor"],
        safety_checker=None,
        requires_safety_checker=False,
    )


def parity(theirs: Any, ours: Any) -> float:
    from sfumato.guide import ClassifierFree
    from stock.compare import latents_apart
    from stock.edits import photo

    said = {"images": [photo(SIZE)], "guidance": [ClassifierFree(5.0)]}
    return latents_apart(theirs, ours, photo(SIZE), said=said, guidance_scale=5.0, width=SIDE, height=SIDE)
