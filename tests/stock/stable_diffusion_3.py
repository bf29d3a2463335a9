"""Stable Diffusion 3; with `later` it is 3.5, with two attentions in its first block and normed queries and keys."""

from __future__ import annotations

from typing import Any

from . import clip_tokenizer, seeded, t5_tokenizer
from .flux import autoencoder, t5

NAME = "stable-diffusion-3"
SIZE = (32, 24)
CHANNELS = 16  # stock's inpainting takes no others
CALL: dict[str, Any] = {"guidance_scale": 5.0}


def build(later: bool = False, words: bool = True) -> Any:
    """The stock pipeline. words: whether its T5 is there."""
    import diffusers

    seeded()
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=16,
        patch_size=2,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=4,
        caption_projection_dim=32,
        joint_attention_dim=64,
        pooled_projection_dim=40,
        pos_embed_max_size=16,
        **({"dual_attention_layers": (0,), "qk_norm": "rms_norm"} if later else {}),
    )
    return diffusers.StableDiffusion3Pipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=autoencoder(CHANNELS),
        text_encoder=clip(24),
        tokenizer=clip_tokenizer(),
        text_encoder_2=clip(16),
        tokenizer_2=clip_tokenizer(),
        text_encoder_3=t5(64) if words else None,  # pyright: ignore[reportArgumentType]
        tokenizer_3=t5_tokenizer(512) if words else None,
        transformer=transformer.eval(),
    )


def clip(width: int) -> Any:
    """A CLIP text encoder with a projection to as many."""
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    words = clip_tokenizer()
    config = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=width,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        projection_dim=width,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    return CLIPTextModelWithProjection(config).eval()


def guided(edit: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What ours and stock's pipeline of an edit are told of guidance."""
    from sfumato.guide import ClassifierFree

    return {"guidance": [ClassifierFree(4.0)]}, {"guidance_scale": 4.0}


def parity(theirs: Any, ours: Any) -> float:
    """Over the stock scheduler's sigmas, whose smallest is shifted twice."""
    from sfumato.guide import ClassifierFree
    from stock.compare import error, noise, shown, stock, walked

    x, size = noise(ours, SIZE), {"width": SIZE[0], "height": SIZE[1]}
    asked = {"num_inference_steps": 5, "latents": x, "negative_prompt": "a dog", "guidance_scale": 4.0, **size}
    made = stock(theirs, "a red hat", **asked)
    sigmas = theirs.scheduler.sigmas.double()
    knots = ours.stage.at(SIZE).denoiser.schedule.time(sigmas / (1 - sigmas))
    told = {"negative": "a dog", "guidance": [ClassifierFree(4.0)], **size}
    return error(shown(ours, walked(ours, x, "a red hat", knots, **told)), made)
