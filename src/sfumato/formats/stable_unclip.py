"""Stable unCLIP: Stable Diffusion 2 told an image embedding beside the words, noised to a level that it is told too.

Its parts are Stable Diffusion's with image_normalizer and image_noising_scheduler, and a prior with a text encoder of
its own (prior, prior_text_encoder, prior_tokenizer, prior_scheduler) or image_encoder and feature_extractor.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sfumato.formats.config import U_NET
from sfumato.formats.folder import parts_of
from sfumato.formats.format import FORMATS, Format
from sfumato.formats.unclip_prior import eye_of, part_schedule, prior_stage, window_text
from sfumato.formats.unet_stage import CONTROLS, check_channels, told_words, unet_stage
from sfumato.guide import ClassifierFree
from sfumato.picture.errors import BadInput
from sfumato.recipe.capabilities import Capabilities, Suits

if TYPE_CHECKING:
    from sfumato.formats.parts import Parts
    from sfumato.network.engine import Engine
    from sfumato.stage import Stage

READ = ("unet", "vae", "text_encoder", "tokenizer", "scheduler", "image_normalizer", "image_noising_scheduler")
PRIOR = ("prior", "prior_text_encoder", "prior_tokenizer", "prior_scheduler")
EYE = ("image_encoder", "feature_extractor")
TOLD = {**U_NET, "class_embed_type": "projection"}
SUITS = Suits(guidance=(ClassifierFree(10.0),))
LEVEL = 0  # the step of the table to which its makers noise an embedding, where nothing is said


class StableUnCLIP(Format):
    """A U-Net of latents told words and an image embedding."""

    title = "stable unCLIP (with a prior, or from a picture)"
    pipelines = ("StableUnCLIPPipeline", "StableUnCLIPImg2ImgPipeline")

    def capabilities(self, folder: Path) -> Capabilities:
        looks = int("image_encoder" in parts_of(folder))
        return Capabilities(text=True, references=looks, controls=CONTROLS, suits=SUITS)

    def read(self, parts: Parts, engine: Engine) -> Stage:
        return self.stages(parts, engine)[-1]

    def stages(self, parts: Parts, engine: Engine) -> tuple[Stage, ...]:
        from sfumato.encode.image_embedding import NoisedEmbedding
        from sfumato.network.offload import at_hand

        looks = "image_encoder" in parts_of(parts.folder)
        begins = EYE if looks else PRIOR
        unet, space, schedule, text = told_words(parts, engine, (*READ, *begins), TOLD)
        check_channels(parts, unet, space.channels, 0, "latents")
        normal = parts.network("image_normalizer", "StableUnCLIPImageNormalizer")
        with at_hand(normal):
            mean, std = (weight.detach().float().clone() for weight in (normal.mean, normal.std))
        noising, _ = part_schedule(parts, "image_noising_scheduler")
        look, width, prior = None, 0, ()
        if looks:
            look, _, width = eye_of(parts, engine, *EYE)
        else:
            read = window_text(parts, engine, "prior_text_encoder", "prior_tokenizer")
            prior = (prior_stage(parts, engine, read),)
            width = prior[0].space.channels
        takes = unet.config["projection_class_embeddings_input_dim"]
        if not width == mean.shape[1] == takes / 2:
            raise BadInput(
                f"The unet of {parts.model} is told {takes} numbers, half of them of an image embedding, its "
                f"image_normalizer has {mean.shape[1]}, and its image embeddings are {width} wide: they must fit."
            )
        encoders = (text, NoisedEmbedding(look, mean, std, noising, (LEVEL + 1) / noising.count))
        return (*prior, unet_stage(parts, engine, unet, space, schedule, encoders, suits=SUITS))


FORMATS.add("stable-unclip", StableUnCLIP())
