"""Stable Diffusion 2 with depth: a fifth channel says how far away things are, as its own estimator sees it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sfumato.formats.format import FORMATS, Format
from sfumato.formats.unet_stage import check_channels, told_besides, told_words, unet_stage
from sfumato.recipe.capabilities import Capabilities

if TYPE_CHECKING:
    from sfumato.formats.parts import Parts
    from sfumato.network.engine import Engine
    from sfumato.stage import Stage

READ = ("unet", "vae", "text_encoder", "tokenizer", "scheduler", "depth_estimator", "feature_extractor")


class StableDiffusionDepth(Format):
    """A U-Net of latents and a plane of depth (Rombach et al. 2022)."""

    title = "Stable Diffusion with depth"
    pipelines = ("StableDiffusionDepth2ImgPipeline",)

    def capabilities(self, folder: Path) -> Capabilities:
        return replace(Capabilities(text=True, references=2), **told_besides(folder))

    def read(self, parts: Parts, engine: Engine) -> Stage:
        from sfumato.encode import DepthPlane
        from sfumato.network.image_networks import DEPTH

        unet, space, schedule, text = told_words(parts, engine, READ)
        check_channels(parts, unet, space.channels, 1, "latents, depth")
        run = engine.prepare(parts.network("depth_estimator", "DPTForDepthEstimation"), DEPTH)
        depth = DepthPlane(space.factor, parts.processor("feature_extractor", "DPT"), run)
        return unet_stage(parts, engine, unet, space, schedule, (text, depth))


FORMATS.add("stable-diffusion-depth", StableDiffusionDepth())
