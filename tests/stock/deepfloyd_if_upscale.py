"""DeepFloyd IF's second stage: tiny, random."""

from __future__ import annotations

from typing import Any

from stock.deepfloyd_if import LARGE, NEGATIVE, SMALL, SUITED, WORDS, painted, parts, scheduler
from stock.unets import UNSAFE

NAME = "deepfloyd-if-upscale"
SIZE = (LARGE, LARGE)
CALL: dict[str, Any] = {}
UNLIKE = {"inpainting": "keeps outside the mask the noise that it began with"}


def build(**changes: Any) -> Any:
    from diffusers import IFSuperResolutionPipeline

    told = parts(3, LARGE, class_embed_type="timestep")
    noising = scheduler(variance_type="fixed_small", thresholding=False)
    told |= {"scheduler": scheduler(sample_max_value=1.0, **changes), "image_noising_scheduler": noising}
    return IFSuperResolutionPipeline(**told, watermarker=None, **UNSAFE)


def guided(edit: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What ours and stock's pipeline of an edit are told of guidance, and the small picture."""
    from stock import deepfloyd_if
    from stock.edits import photo

    told, asked = deepfloyd_if.guided(edit)
    small = photo((SMALL, SMALL))
    return {**told, "images": [small]}, {**asked, "guidance_scale": 4.0, "image": small, "original_image": photo(SIZE)}


def parity(theirs: Any, ours: Any) -> float:
    """With its makers' sampler, variance, guidance, thresholding and level of noise."""
    from stock.compare import error, ran
    from stock.edits import photo

    small = photo((SMALL, SMALL))
    made = ran(ours, WORDS, negative=NEGATIVE, images=[small], steps=4, seed=3, **SUITED)[1]
    return error(made, painted(theirs, image=small))
