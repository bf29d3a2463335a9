"""Stable Diffusion XL: base, inpainting, refiner."""

from __future__ import annotations

from typing import Any

from stock import clip_tokenizer, seeded
from stock.unets import SIDE, WIDTH, autoencoder, scheduler, text_encoder, unet

NAME = "stable-diffusion-xl"
SIZE = (SIDE, SIDE)
CALL: dict[str, Any] = {}
EACH = 8  # numbers that a size is embedded in


def _unet(sizes: int, texts: int, channels: int = 4) -> Any:
    return unet(
        channels,
        cross_attention_dim=texts * WIDTH,
        use_linear_projection=True,
        transformer_layers_per_block=(1, 2),
        addition_embed_type="text_time",
        addition_time_embed_dim=EACH,
        projection_class_embeddings_input_dim=WIDTH + sizes * EACH,
    )


def build(channels: int = 4) -> Any:
    from diffusers import StableDiffusionXLInpaintPipeline, StableDiffusionXLPipeline

    seeded()
    tokenizer, second = clip_tokenizer(), clip_tokenizer()
    second.pad_token = "!" if "!" in second.get_vocab() else "."
    made = StableDiffusionXLPipeline if channels == 4 else StableDiffusionXLInpaintPipeline
    return made(
        vae=autoencoder(),
        text_encoder=text_encoder(tokenizer),
        text_encoder_2=text_encoder(second, projected=True),
        tokenizer=tokenizer,
        tokenizer_2=second,
        unet=_unet(6, 2, channels),
        scheduler=scheduler(),
        add_watermarker=False,
    )


def inpainting() -> Any:
    return build(9)


def refiner(base: Any | None = None) -> Any:
    """The refiner, with the autoencoder of `base` where it is given."""
    from diffusers import StableDiffusionXLImg2ImgPipeline

    seeded(1)
    tokenizer = clip_tokenizer()
    return StableDiffusionXLImg2ImgPipeline(
        vae=base.vae if base else autoencoder(),
        text_encoder=None,
        text_encoder_2=text_encoder(tokenizer, projected=True),
        tokenizer=None,
        tokenizer_2=tokenizer,
        unet=_unet(5, 1),
        scheduler=scheduler(),
        requires_aesthetics_score=True,
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    )


def guided(edit: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What ours and stock's pipeline of an edit are told of guidance."""
    from sfumato.guide import ClassifierFree

    return {"guidance": [ClassifierFree(5.0)], "sampler": "ddim"}, {"guidance_scale": 5.0}


def parity(theirs: Any, ours: Any, negative: str = "", size: tuple[int, int] = SIZE) -> float:
    from sfumato.guide import ClassifierFree
    from stock.compare import latents_apart

    shape = {"width": size[0], "height": size[1]}
    said = {"prompt": "a red hat", "negative": negative, "guidance": [ClassifierFree(5.0)], **shape}
    asked = {"negative_prompt": negative or None, "guidance_scale": 5.0, **shape}
    return latents_apart(theirs, ours, "a red hat", said=said, **asked)
