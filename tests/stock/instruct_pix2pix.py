"""InstructPix2Pix."""

from __future__ import annotations

from typing import Any

from stock.unets import SIDE, UNSAFE, parts

NAME = "instruct-pix2pix"
SIZE = (SIDE, SIDE)
CALL: dict[str, Any] = {}


def build() -> Any:
    from diffusers import StableDiffusionInstructPix2PixPipeline

    return StableDiffusionInstructPix2PixPipeline(**parts(8), **UNSAFE)


def guided(edit: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What ours and stock's pipeline of an edit are told of guidance, and the picture."""
    from sfumato.guide import Instruct
    from stock.edits import photo

    told = {"images": [photo(SIZE)], "guidance": [Instruct(7.5, 1.5)], "sampler": "ddim"}
    return told, {"image": photo(SIZE), "guidance_scale": 7.5, "image_guidance_scale": 1.5}


def parity(theirs: Any, ours: Any) -> float:
    from sfumato.guide import Instruct
    from stock.compare import latents_apart
    from stock.edits import photo

    said = {"prompt": "make it red", "images": [photo(SIZE)], "guidance": [Instruct(7.5, 1.5)]}
    asked = {"image": photo(SIZE), "guidance_scale": 7.5, "image_guidance_scale": 1.5}
    return latents_apart(theirs, ours, "make it red", said=said, **asked)
