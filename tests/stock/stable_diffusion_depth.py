"""Stable Diffusion with depth, and an estimator of it."""

from __future__ import annotations

from typing import Any

from stock.unets import SIDE, parts

NAME = "stable-diffusion-depth"
SIZE = (SIDE, SIDE)
CALL: dict[str, Any] = {"strength": 1.0}


def build() -> Any:
    from diffusers import StableDiffusionDepth2ImgPipeline
    from transformers import DPTConfig, DPTForDepthEstimation, DPTImageProcessorPil

    found = parts(5)
    config = DPTConfig(
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=37,
        image_size=SIDE,
        patch_size=8,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 8, 16, 16],
        fusion_hidden_size=8,
        is_hybrid=False,
    )
    return StableDiffusionDepth2ImgPipeline(
        **found,
        depth_estimator=DPTForDepthEstimation(config).eval(),
        feature_extractor=DPTImageProcessorPil(size={"height": SIDE, "width": SIDE}),
    )
