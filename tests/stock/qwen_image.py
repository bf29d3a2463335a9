"""Qwen-Image: tiny, random."""

from __future__ import annotations

from typing import Any

from stock import qwen_tokenizer, seeded

NAME = "qwen-image"
SIZE = (32, 16)
CALL: dict[str, Any] = {"negative_prompt": "", "true_cfg_scale": 4.0}


def build() -> Any:
    from diffusers import QwenImagePipeline

    return QwenImagePipeline(**parts())


def parts() -> dict[str, Any]:
    """Those that every Qwen-Image has. Latents of 4 channels at a quarter of the side; texts 32 wide."""
    from diffusers import AutoencoderKLQwenImage, FlowMatchEulerDiscreteScheduler, QwenImageTransformer2DModel
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    tokenizer = qwen_tokenizer()
    seeded()
    transformer = QwenImageTransformer2DModel(
        patch_size=2,
        in_channels=16,
        out_channels=4,
        num_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        axes_dims_rope=(4, 6, 6),
    )
    vae = AutoencoderKLQwenImage(
        base_dim=8,
        z_dim=4,
        dim_mult=[1, 2, 2],
        num_res_blocks=1,
        temperal_downsample=[False, True],
        latents_mean=[0.1, -0.2, 0.3, 0.0],
        latents_std=[1.5, 0.5, 2.0, 1.0],
    )
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1000000.0}
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": 320,
            "hidden_size": 32,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "max_position_embeddings": 2048,
            "rope_parameters": rope,
        },
        vision_config={
            "depth": 1,
            "hidden_size": 32,
            "intermediate_size": 32,
            "num_heads": 2,
            "out_hidden_size": 32,
            "patch_size": 8,
            "window_size": 32,
            "fullatt_block_indexes": [0],
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        vision_start_token_id=tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=tokenizer.convert_tokens_to_ids("<|vision_end|>"),
    )
    return {
        "transformer": transformer.eval(),
        "vae": vae.eval(),
        "scheduler": FlowMatchEulerDiscreteScheduler(
            use_dynamic_shifting=True,
            base_shift=0.5,
            max_shift=0.9,
            base_image_seq_len=4,
            max_image_seq_len=64,
            shift_terminal=0.02,
            time_shift_type="exponential",
        ),
        "text_encoder": Qwen2_5_VLForConditionalGeneration(config).eval(),
        "tokenizer": tokenizer,
    }


def guided(edit: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What ours and stock's pipeline of an edit are told of guidance."""
    if edit == "ControlNet":  # guided, stock adds to the unconditional side what it found for the words
        return {"guidance": []}, {"true_cfg_scale": 1.0}
    return {"negative": "a dog", "guidance": None}, {"negative_prompt": "a dog", "true_cfg_scale": 4.0}


def parity(theirs: Any, ours: Any) -> float:
    from stock.compare import error, noise, tokens, walked

    theirs.set_progress_bar_config(disable=True)
    x, size = noise(ours, SIZE), {"width": SIZE[0], "height": SIZE[1]}
    negative = "blue, and a long text of other things"
    asked = {"negative_prompt": negative, "true_cfg_scale": 4.0, "num_inference_steps": 5, **size}
    made = theirs("a red hat", latents=tokens(x), output_type="latent", **asked).images
    return error(tokens(walked(ours, x, "a red hat", negative=negative, steps=5, **size)), made)
