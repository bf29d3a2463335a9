"""DeepFloyd IF's first stage: tiny, random."""

from __future__ import annotations

from typing import Any

import torch

from stock import seeded, stirred, t5_tokenizer
from stock.unets import UNSAFE

NAME = "deepfloyd-if"
SMALL, LARGE = 8, 32  # pixels along a side
SIZE = (SMALL, SMALL)
CALL: dict[str, Any] = {}


def scheduler(**changes: Any) -> Any:
    """As DeepFloyd's: the answer says its variance, and the guided x0 is thresholded."""
    from diffusers import DDPMScheduler

    options: dict[str, Any] = {
        "beta_schedule": "squaredcos_cap_v2",
        "variance_type": "learned_range",
        "thresholding": True,
        "dynamic_thresholding_ratio": 0.95,
        "sample_max_value": 1.5,
    }
    return DDPMScheduler(**{**options, **changes})


def parts(planes: int = 0, side: int = SMALL, **changes: Any) -> dict[str, Any]:
    """unet, tokenizer, text_encoder."""
    from diffusers import UNet2DConditionModel
    from transformers import T5Config, T5EncoderModel

    seeded()
    tokenizer = t5_tokenizer(window=77)
    unet = UNet2DConditionModel(
        sample_size=side,
        in_channels=3 + planes,
        out_channels=6,
        layers_per_block=1,
        block_out_channels=(32, 32),
        norm_num_groups=8,
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        attention_head_dim=8,
        cross_attention_dim=32,
        cross_attention_norm="group_norm",
        encoder_hid_dim=24,
        addition_embed_type="text",
        addition_embed_type_num_heads=2,
        resnet_time_scale_shift="scale_shift",
        act_fn="gelu",
        **changes,
    )
    with torch.no_grad():
        for name, weight in unet.named_parameters():  # so that what it is told is seen in its answer
            if "to_out.0.weight" in name or "add_embedding.proj" in name:
                weight.mul_(4)
    config = T5Config(
        vocab_size=len(tokenizer), d_model=24, d_kv=8, d_ff=16, num_layers=2, num_heads=2,
        feed_forward_proj="gated-gelu",
    )  # fmt: skip
    return {"unet": stirred(unet), "tokenizer": tokenizer, "text_encoder": T5EncoderModel(config).eval()}


def build(**changes: Any) -> Any:
    from diffusers import IFPipeline

    return IFPipeline(**parts(), scheduler=scheduler(**changes), watermarker=None, **UNSAFE)
