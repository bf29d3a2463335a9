"""Z-Image: tiny, random."""

from __future__ import annotations

from typing import Any

from stock import qwen_tokenizer, seeded

NAME = "z-image"
SIZE = (32, 16)
CALL: dict[str, Any] = {"guidance_scale": 4.0}

CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def build(shift: float = 3.0) -> Any:
    import torch
    from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, ZImagePipeline, ZImageTransformer2DModel
    from transformers import Qwen3Config, Qwen3Model

    tokenizer = qwen_tokenizer()
    tokenizer.chat_template = CHAT
    seeded()
    transformer = ZImageTransformer2DModel(
        in_channels=4,
        dim=32,
        n_layers=2,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=16,
        axes_dims=[8, 4, 4],
        axes_lens=[640, 32, 32],
    )
    with torch.no_grad():
        for token in (transformer.x_pad_token, transformer.cap_pad_token):
            token.normal_()
    vae = AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        block_out_channels=[8, 8],
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        scaling_factor=0.36,
        shift_factor=0.12,
    )
    config = Qwen3Config(
        vocab_size=320,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=640,
    )
    return ZImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=shift),
        vae=vae.eval(),
        text_encoder=Qwen3Model(config).eval(),
        tokenizer=tokenizer,
        transformer=transformer.eval(),
    )


def guided(edit: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What ours and stock's pipeline of an edit are told of guidance."""
    from sfumato.guide import ClassifierFree

    return {"guidance": [ClassifierFree.from_w(3.0)]}, {"guidance_scale": 3.0}


def parity(theirs: Any, ours: Any, w: float = 3.0) -> float:
    """Guided by stock's own convention, c + w (c - u)."""
    from sfumato.guide import ClassifierFree
    from stock.compare import error, noise, walked

    theirs.set_progress_bar_config(disable=True)
    x, size = noise(ours, SIZE), {"width": SIZE[0], "height": SIZE[1]}
    negative = "blue, and a long text of other things, many of them"
    asked = {"negative_prompt": negative, "guidance_scale": w, "num_inference_steps": 5, **size}
    made = theirs("a red hat", latents=x, output_type="latent", **asked).images
    said = {"negative": negative, "guidance": [ClassifierFree.from_w(w)], "steps": 5, **size}
    return error(walked(ours, x, "a red hat", **said), made)
