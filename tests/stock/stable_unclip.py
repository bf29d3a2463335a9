"""Stable unCLIP: with a prior, and from a picture."""

from __future__ import annotations

from typing import Any

import torch

from stock import clip_tokenizer
from stock.kandinsky import eye, prior_transformer
from stock.unets import SIDE, WIDTH, parts, text_encoder

NAME = "stable-unclip"
SIZE = (SIDE, SIDE)
CALL: dict[str, Any] = {}


def _decoder() -> dict[str, Any]:
    from diffusers import DDPMScheduler
    from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import StableUnCLIPImageNormalizer

    found = parts(class_embed_type="projection", projection_class_embeddings_input_dim=2 * WIDTH)
    normalizer = StableUnCLIPImageNormalizer(embedding_dim=WIDTH)
    with torch.no_grad():
        normalizer.mean.normal_()
        normalizer.std.uniform_(0.5, 1.5)
        found["unet"].class_embedding.linear_1.weight.mul_(4)
    noising = DDPMScheduler(beta_schedule="squaredcos_cap_v2")
    return {**found, "image_normalizer": normalizer.eval(), "image_noising_scheduler": noising}


def build() -> Any:
    from diffusers import DDPMScheduler, StableUnCLIPPipeline

    found, tokenizer = _decoder(), clip_tokenizer()
    return StableUnCLIPPipeline(
        **found,
        prior_tokenizer=tokenizer,
        prior_text_encoder=text_encoder(tokenizer, projected=True),
        prior=prior_transformer(),
        prior_scheduler=DDPMScheduler(
            variance_type="fixed_small_log",
            prediction_type="sample",
            clip_sample=True,
            clip_sample_range=5.0,
            beta_schedule="squaredcos_cap_v2",
        ),
    )


def variations() -> Any:
    from diffusers import StableUnCLIPImg2ImgPipeline

    found, seen = _decoder(), eye()
    seen["feature_extractor"] = seen.pop("image_processor")
    return StableUnCLIPImg2ImgPipeline(**found, **seen)
