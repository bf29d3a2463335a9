"""FLUX.1: `build` is [dev], or [schnell] without distilled guidance."""

from __future__ import annotations

from typing import Any

from . import clip_tokenizer, seeded, t5_tokenizer

NAME = "flux"
SIZE = (32, 24)
CALL: dict[str, Any] = {"guidance_scale": 3.5}
CHANNELS, FACTOR = 4, 2


def build(pipeline: str = "FluxPipeline", guided: bool = True, beside: int = 0, joint: int = 32) -> Any:
    """The stock pipeline of that class. beside: further input channels of a token."""
    import diffusers
    from transformers import CLIPTextConfig, CLIPTextModel

    seeded()
    transformer = diffusers.FluxTransformer2DModel(
        in_channels=4 * CHANNELS + beside,
        out_channels=4 * CHANNELS if beside else None,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=joint,
        pooled_projection_dim=24,
        guidance_embeds=guided,
        axes_dims_rope=(4, 4, 8),
    )
    shift: dict[str, Any] = {"use_dynamic_shifting": True, "shift": 3.0, "base_image_seq_len": 16}
    words = clip_tokenizer()
    clip = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    return getattr(diffusers, pipeline)(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(**(shift if guided else {})),
        vae=autoencoder(),
        text_encoder=CLIPTextModel(clip).eval(),
        tokenizer=words,
        text_encoder_2=t5(joint),
        tokenizer_2=t5_tokenizer(512),
        transformer=transformer.eval(),
    )


def t5(width: int) -> Any:
    """A T5 encoder for the tokens of `t5_tokenizer`."""
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(
        T5Config(vocab_size=80, d_model=width, d_kv=8, d_ff=32, num_layers=2, num_heads=4, is_encoder_decoder=False)
    ).eval()


def autoencoder(channels: int = CHANNELS) -> Any:
    """A KL autoencoder of cells of 2 x 2 pixels whose latents are shifted."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        latent_channels=channels,
        norm_num_groups=4,
        use_quant_conv=False,
        use_post_quant_conv=False,
        shift_factor=0.06,
        scaling_factor=1.5,
    ).eval()


def guided(edit: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What ours and stock's pipeline of an edit are told of guidance."""
    from sfumato.guide import Distilled

    return {"guidance": [Distilled(3.5)]}, CALL


def parity(theirs: Any, ours: Any, size: tuple[int, int] = SIZE, true: float = 2.5) -> float:
    """With true guidance too, and a negative prompt beside it, where `true` is not 1."""
    from sfumato.guide import ClassifierFree, Distilled
    from stock.compare import error, ran, shown, stock

    both = {"width": size[0], "height": size[1]}
    guidance = [Distilled(3.5), *([ClassifierFree(true)] if true != 1 else [])]
    start, end = ran(ours, "a red hat", negative="a dog", guidance=guidance, steps=5, seed=3, **both)
    asked = {"negative_prompt": "a dog", "true_cfg_scale": true, "num_inference_steps": 5, **CALL, **both}
    return error(shown(ours, end), stock(theirs, "a red hat", latents=start, **asked))
