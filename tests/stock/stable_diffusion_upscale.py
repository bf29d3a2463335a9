"""Stable Diffusion's upscaler: of a picture of half the size, with an autoencoder of two pixels a cell."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import torch

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


def parity(theirs: Any, ours: Any) -> float:
    """Stock noises the small picture as we do."""
    from diffusers.pipelines.stable_diffusion import pipeline_stable_diffusion_upscale as module

    from sfumato.guide import ClassifierFree
    from sfumato.noise import KeyedNoise
    from stock.compare import latents_apart
    from stock.edits import photo

    small = (SIDE // 2, SIDE // 2)
    drawn = KeyedNoise([3])(torch.zeros(1, 3, *small), "low resolution")
    said = {"prompt": "a red hat", "images": [photo(small)], "guidance": [ClassifierFree(5.0)]}
    said |= {"width": SIDE, "height": SIDE}
    with patch.object(module, "randn_tensor", lambda *_, **__: drawn):
        asked = {"image": photo(small), "noise_level": 20, "guidance_scale": 5.0}
        return latents_apart(theirs, ours, "a red hat", said=said, **asked)
