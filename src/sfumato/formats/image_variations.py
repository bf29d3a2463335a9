"""Stable Diffusion's image variations: told a picture, as CLIP sees it, in the place of words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sfumato.formats.config import AUTOENCODER, U_NET
from sfumato.formats.format import FORMATS, Format
from sfumato.formats.unet_stage import check_channels, parts_schedule, refuse_parts, told_besides, unet_stage
from sfumato.recipe.capabilities import Capabilities

if TYPE_CHECKING:
    from sfumato.formats.parts import Parts
    from sfumato.network.engine import Engine
    from sfumato.stage import Stage

READ = ("unet", "vae", "image_encoder", "feature_extractor", "scheduler")


class ImageVariations(Format):
    """A U-Net of latents told a CLIP embedding of a picture."""

    title = "Stable Diffusion's image variations"
    pipelines = ("StableDiffusionImageVariationPipeline",)

    def capabilities(self, folder: Path) -> Capabilities:
        return replace(Capabilities(references=1), **told_besides(folder))

    def read(self, parts: Parts, engine: Engine) -> Stage:
        from sfumato.encode import ImageWords
        from sfumato.network.image_networks import CLIP_IMAGE
        from sfumato.space import Latent

        refuse_parts(parts, READ)
        schedule = parts_schedule(parts)
        unet = parts.network("unet", "UNet2DConditionModel", U_NET)
        space = Latent(parts.network("vae", "AutoencoderKL", AUTOENCODER), engine)
        clip = parts.network("image_encoder", "CLIPVisionModelWithProjection")
        parts.check_width("unet", unet.config["cross_attention_dim"], clip.config.projection_dim, "image_encoder")
        check_channels(parts, unet, space.channels, 0, "latents")
        words = ImageWords(parts.processor("feature_extractor", "CLIP"), engine.prepare(clip, CLIP_IMAGE))
        return unet_stage(parts, engine, unet, space, schedule, (words,))


FORMATS.add("image-variations", ImageVariations())
