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
