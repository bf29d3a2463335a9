"""Parts of the tiny pipelines whose network is a `UNet2DConditionModel`."""

from __future__ import annotations

from typing import Any

import torch

SIDE = 32  # pixels
WIDTH = 32  # of texts


def scheduler(**changes: Any) -> Any:
    """DDIM that begins at pure noise and ends at the clean picture, as our trailing grid does."""
    from diffusers import DDIMScheduler

    options = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "clip_sample": False}
    return DDIMScheduler(**options | {"timestep_spacing": "trailing", "set_alpha_to_one": True} | changes)


def unet(channels: int = 4, **changes: Any) -> Any:
    """A U-Net of latents whose answer depends visibly on what it is told."""
    from diffusers import UNet2DConditionModel

    options: dict[str, Any] = {
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "sample_size": SIDE // 2,
        "in_channels": channels,
        "out_channels": 4,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "attention_head_dim": (2, 4),
        "norm_num_groups": 8,
        "cross_attention_dim": WIDTH,
    }
    network = UNet2DConditionModel(**options | changes)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "attn2.to_out.0.weight" in name:
                weight.mul_(8)
    return network.eval()


def autoencoder(**changes: Any) -> Any:
    """An autoencoder of two pixels a cell, sure of its latents: stock pipelines draw them from its posterior."""
    from diffusers import AutoencoderKL

    options: dict[str, Any] = {
        "block_out_channels": (8, 16),
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
        "norm_num_groups": 4,
        "latent_channels": 4,
        "sample_size": SIDE,
    }
    network = AutoencoderKL(**options | changes)
    with torch.no_grad():
        network.quant_conv.weight[:4].mul_(20)
        network.quant_conv.weight[4:] = 0
        network.quant_conv.bias[4:] = -30
    return network.eval()


def text_encoder(tokenizer: Any, projected: bool = False, **changes: Any) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        **{
            "vocab_size": len(tokenizer),
            "hidden_size": WIDTH,
            "intermediate_size": 37,
            "num_attention_heads": 4,
            "num_hidden_layers": 3,
            "projection_dim": WIDTH,
            "hidden_act": "gelu",
            "max_position_embeddings": tokenizer.model_max_length,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        }
        | changes
    )
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config).eval()


def eye(width: int = WIDTH) -> dict[str, Any]:
    """A CLIP's image tower and its processor, as image_encoder and image_processor."""
    from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModelWithProjection

    config = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=37,
        projection_dim=width,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=SIDE,
        patch_size=8,
    )
    processor = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    return {"image_encoder": CLIPVisionModelWithProjection(config).eval(), "image_processor": processor}


def simple_unet(channels: int, out: int, **changes: Any) -> Any:
    """A U-Net as unCLIP's decoders are: attention to what it is told and to the picture at once."""
    from diffusers import UNet2DConditionModel

    options: dict[str, Any] = {
        "sample_size": SIDE // 2,
        "in_channels": channels,
        "out_channels": out,
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "down_block_types": ("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        "up_block_types": ("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
        "attention_head_dim": 4,
        "cross_attention_dim": 16,
        "resnet_time_scale_shift": "scale_shift",
        "norm_num_groups": 8,
    }
    return UNet2DConditionModel(**options | changes).eval()


def parts(channels: int = 4, texts: bool = True, more: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """The parts of a Stable Diffusion pipeline: its U-Net as `changes` say, and `more`."""
    from stock import clip_tokenizer, seeded

    seeded()
    found = {"vae": autoencoder(), "unet": unet(channels, **changes), "scheduler": scheduler()}
    if texts:
        tokenizer = clip_tokenizer()
        found |= {"tokenizer": tokenizer, "text_encoder": text_encoder(tokenizer)}
    return found | (more or {})


UNSAFE: dict[str, Any] = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
