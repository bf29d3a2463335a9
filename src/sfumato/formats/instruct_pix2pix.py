"""InstructPix2Pix (Brooks et al. 2023): Stable Diffusion that sees the picture to be edited beside the noise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sfumato.formats.format import FORMATS, Format
from sfumato.formats.unet_stage import CONTROLS, check_channels, told_words, unet_stage
from sfumato.guide import Instruct
from sfumato.recipe.capabilities import Capabilities, Suits

if TYPE_CHECKING:
    from sfumato.formats.parts import Parts
    from sfumato.network.engine import Engine
    from sfumato.stage import Stage

READ = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
SUITS = Suits(guidance=(Instruct(),))


class InstructPix2Pix(Format):
    """A U-Net of latents and the reference picture's, told what to change."""

    title = "InstructPix2Pix"
    pipelines = ("StableDiffusionInstructPix2PixPipeline",)

    def capabilities(self, folder: Path) -> Capabilities:
        return Capabilities(text=True, references=1, suits=SUITS, controls=CONTROLS)

    def read(self, parts: Parts, engine: Engine) -> Stage:
        from sfumato.encode import ReferencePlanes

        unet, space, schedule, text = told_words(parts, engine, READ)
        check_channels(parts, unet, space.channels, space.channels, "latents, latents of the picture to be edited")
        return unet_stage(parts, engine, unet, space, schedule, (text, ReferencePlanes(space)), suits=SUITS)


FORMATS.add("instruct-pix2pix", InstructPix2Pix())
