"""Stable Diffusion's upscaler: of a picture of half the size, with an autoencoder of two pixels a cell."""

from __future__ import annotations

from typing import Any

from stock.unets import SIDE, parts

NAME = "stable-diffusion-upscale"
SIZE = (SIDE, SIDE)
CALL: dict[str, Any] = {}


def build() -> Any:
    from diffusers import DDPMScheduler, StableDiffusionUpscalePipeline

    low = DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.0001, beta_end=0.02)
    return StableDiffusionUpscalePipeline(
        **parts(7, num_class_embeds=1000), low_res_scheduler=low, safety_checker=None, feature_extractor=None
    )
