"""Stable Diffusion XL (Podell et al. 2023): base, inpainting, and the refiner, which edits what is there.

Two CLIP text encoders stand side by side, each one layer before its last; the network is told the second's pooled
embedding and the picture's sizes. The refiner has the second alone, and is told an aesthetic score.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfumato.formats.config import AUTOENCODER, U_NET
from sfumato.formats.folder import index_of
from sfumato.formats.format import FORMATS, Format
from sfumato.formats.unet_stage import (
    check_channels,
    clip_text_of,
    parts_schedule,
    planes_of,
    refuse_parts,
    told_besides,
    unet_stage,
)
from sfumato.picture.errors import BadInput
from sfumato.recipe.capabilities import Capabilities

if TYPE_CHECKING:
    from sfumato.encode import ClipTexts
    from sfumato.formats.parts import Parts
    from sfumato.network.engine import Engine
    from sfumato.stage import Stage

READ = ("unet", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "scheduler")
TOLD = {**U_NET, "addition_embed_type": "text_time"}
SIZES, SCORED = 6, 5  # numbers that base and refiner are told


class StableDiffusionXL(Format):
    """A U-Net told the words of two encoders, and sizes."""

    title = "Stable Diffusion XL (base, refiner, inpainting)"
    pipelines = (
        "StableDiffusionXLPipeline",
        "StableDiffusionXLImg2ImgPipeline",
        "StableDiffusionXLInpaintPipeline",
    )

    def capabilities(self, folder: Path) -> Capabilities:
        return replace(Capabilities(text=True, inpaints=planes_of(folder) > 0), **told_besides(folder))

    def read(self, parts: Parts, engine: Engine) -> Stage:
        from sfumato.encode import MaskedPicture, PictureSizes
        from sfumato.space import Latent

        refuse_parts(parts, READ)
        index = index_of(parts.folder)
        schedule = parts_schedule(parts)
        unet = parts.network("unet", "UNet2DConditionModel", TOLD)
        text, pooled = _texts(parts, engine, bool(index.get("force_zeros_for_empty_prompt", True)))
        parts.check_width("unet", unet.config["cross_attention_dim"], text.width, "text encoders")
        scored = bool(index.get("requires_aesthetics_score", False))
        sizes = SCORED if scored else SIZES
        _check_sizes(parts, unet.config, pooled, sizes)
        space = Latent(parts.network("vae", "AutoencoderKL", AUTOENCODER), engine)
        planes = space.channels + 1 if unet.config["in_channels"] > space.channels else 0
        check_channels(parts, unet, space.channels, planes, "latents, or latents, mask, latents of the masked picture")
        beside = (MaskedPicture(space),) if planes else ()
        return unet_stage(parts, engine, unet, space, schedule, (text, PictureSizes(scored), *beside), sizes=sizes)


def _texts(parts: Parts, engine: Engine, zeros: bool) -> tuple[ClipTexts, int]:
    """The encoders of a folder side by side, and how wide the pooled embedding is."""
    from sfumato.encode import ClipTexts
    from sfumato.formats.folder import parts_of

    both = "text_encoder" in parts_of(parts.folder)
    first = [clip_text_of(parts, engine, skip=1, normed=False)] if both else []
    second = clip_text_of(
        parts,
        engine,
        "text_encoder_2",
        "tokenizer_2",
        "CLIPTextModelWithProjection",
        skip=1,
        normed=False,
        pooled=True,
    )
    if first and first[0].window != second.window:
        raise BadInput(
            f"The text encoders of {parts.model} read {first[0].window} and {second.window} tokens: they must read as "
            "many as one another."
        )
    config: Any = parts.networks["text_encoder_2"].config
    return ClipTexts([*first, second], zeros), int(config.projection_dim)


def _check_sizes(parts: Parts, config: Any, pooled: int, sizes: int) -> None:
    takes, told = config["projection_class_embeddings_input_dim"], pooled + sizes * config["addition_time_embed_dim"]
    if takes != told:
        raise BadInput(
            f"The unet of {parts.model} is told {takes} numbers beside the words, and its text_encoder_2's embedding "
            f"({pooled}) with {sizes} sizes of {config['addition_time_embed_dim']} each is {told}."
        )


FORMATS.add("stable-diffusion-xl", StableDiffusionXL())
