"""Stable Diffusion with depth, and an estimator of it."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

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


def parity(theirs: Any, ours: Any) -> float:
    """Stock begins from noise that is given to it where it would noise a picture."""
    from sfumato.guide import ClassifierFree
    from stock.compare import error, ran
    from stock.edits import photo

    walk = {"sampler": "ddim", "times": "trailing", "steps": 4, "seed": 3, "guidance": [ClassifierFree(5.0)]}
    start, end = ran(ours, "a red hat", images=[photo(SIZE)], **walk)
    theirs.set_progress_bar_config(disable=True)
    asked = {"guidance_scale": 5.0, "num_inference_steps": 4, "output_type": "latent", **CALL}
    with patch.object(theirs, "prepare_latents", lambda *_, **__: start):
        return error(end, theirs("a red hat", image=photo(SIZE), **asked).images)
