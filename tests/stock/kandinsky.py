"""Kandinsky 2.2: prior and decoder, a folder each or one together."""

from __future__ import annotations

from typing import Any

import torch

from stock import clip_tokenizer, seeded
from stock.unets import SIDE, WIDTH, eye, simple_unet, text_encoder

NAME = "kandinsky"
SIZE = (SIDE, SIDE)
CALL: dict[str, Any] = {}
UNLIKE = {"inpainting": "of a decoder with nine channels"}


def prior_transformer(window: int = 77) -> Any:
    """A prior whose weights that begin at zero are not, and whose answers depend visibly on the words."""
    from diffusers import PriorTransformer

    network = PriorTransformer(
        num_attention_heads=2,
        attention_head_dim=16,
        num_layers=2,
        embedding_dim=WIDTH,
        num_embeddings=window,
    )
    with torch.no_grad():
        network.positional_embedding.normal_()
        network.prd_embedding.normal_()
        network.clip_mean.normal_()
        network.clip_std.uniform_(0.5, 1.5)
        network.proj_to_clip_embeddings.weight.mul_(4)
    return network.eval()


def unclip_scheduler(**changes: Any) -> Any:
    from diffusers import UnCLIPScheduler

    options = {"variance_type": "fixed_small_log", "prediction_type": "sample", "clip_sample_range": 5.0}
    return UnCLIPScheduler(**options | changes)


def build_prior() -> Any:
    from diffusers import KandinskyV22PriorPipeline

    seeded()
    tokenizer = clip_tokenizer()
    return KandinskyV22PriorPipeline(
        prior=prior_transformer(),
        **eye(),
        text_encoder=text_encoder(tokenizer, projected=True),
        tokenizer=tokenizer,
        scheduler=unclip_scheduler(clip_sample_range=1.5),
    )


def movq() -> Any:
    from diffusers import VQModel

    return VQModel(
        block_out_channels=(32, 32),  # its norms are of 32 groups
        down_block_types=("DownEncoderBlock2D", "AttnDownEncoderBlock2D"),
        up_block_types=("AttnUpDecoderBlock2D", "UpDecoderBlock2D"),
        norm_num_groups=4,
        layers_per_block=1,
        num_vq_embeddings=12,
        latent_channels=4,
        norm_type="spatial",
    ).eval()


def decoder(channels: int = 4, **scheduled: Any) -> dict[str, Any]:
    """Its parts; `scheduled` changes the scheduler."""
    from diffusers import DDIMScheduler

    unet = simple_unet(
        channels, 8, addition_embed_type="image", encoder_hid_dim_type="image_proj", encoder_hid_dim=WIDTH
    )
    with torch.no_grad():
        unet.encoder_hid_proj.norm.weight.mul_(8)
        unet.add_embedding.image_norm.weight.mul_(4)
    options = {"beta_schedule": "linear", "beta_start": 0.00085, "beta_end": 0.012, "clip_sample": False}
    ends = {"timestep_spacing": "trailing", "set_alpha_to_one": True}
    return {"unet": unet.eval(), "movq": movq(), "scheduler": DDIMScheduler(**options | ends | scheduled)}


def build(**scheduled: Any) -> Any:
    """The decoder with its prior, as one pipeline."""
    from diffusers import KandinskyV22CombinedPipeline

    prior = {f"prior_{name}": part for name, part in build_prior().components.items()}
    return KandinskyV22CombinedPipeline(**decoder(**scheduled), **prior)


def inpainting() -> Any:
    from diffusers import KandinskyV22InpaintPipeline

    seeded(1)
    return KandinskyV22InpaintPipeline(**decoder(9))


def controlled(theirs: Any, folder: Any) -> Any:
    """Stock's pipeline with a ControlNet of the decoder of a combined one, which is saved in the folder."""
    from diffusers import KandinskyV22ControlnetPipeline

    from stock.controls import controlnet

    made = KandinskyV22ControlnetPipeline(unet=controlnet(theirs.unet, 4), movq=theirs.movq, scheduler=theirs.scheduler)
    made.set_progress_bar_config(disable=True)
    made.save_pretrained(folder)
    return made


def prior_of(theirs: Any, prior: Any, negative: str | None = None) -> tuple[torch.Tensor, Any]:
    """What our prior draws, and what stock's does, from the same x and with the same noise."""
    import pytest
    from diffusers.schedulers import scheduling_unclip

    from stock.stages import exact, recipe_of, start, steps, walked

    x, prompt = start(prior, SIZE), "a red boat on the sea"
    ours = prior.space.decode(walked(prior, x, recipe_of(prior, prompt, negative=negative or ""), SIZE))
    mine, cut = steps(x), slice(None) if negative else slice(0, 1)
    exact(theirs.prior_scheduler)
    with pytest.MonkeyPatch.context() as patch:
        drawn = lambda wanted, **_: mine((2, WIDTH))[cut].reshape(tuple(wanted))  # noqa: E731
        patch.setattr(scheduling_unclip, "randn_tensor", drawn)
        options = {"num_inference_steps": 4, "guidance_scale": 4.0, "latents": x.reshape(2, WIDTH)[cut]}
        return ours, theirs.prior_pipe(prompt, negative_prompt=negative, **options)


def decoded(theirs: Any, decoder: Any, embeds: torch.Tensor, empty: int, negative: str = "") -> float:
    """Latents of the decoder: of an embedding, and of the `empty`-th where nothing is told (or `negative`)."""
    from sfumato.guide import ClassifierFree
    from sfumato.sample import DDIM
    from sfumato.times import TrailingGrid
    from stock.compare import error
    from stock.stages import recipe_of, walked

    walk = {"sampler": DDIM(), "times": TrailingGrid(), "guidance": (ClassifierFree(4.0),)}
    said = {"height": 64, "width": 64, "num_inference_steps": 4, "guidance_scale": 4.0, "output_type": "latent"}
    x = torch.randn(1, 4, 32, 32, generator=torch.Generator().manual_seed(5))
    recipe = recipe_of(decoder, negative=negative, **walk)
    ours = walked(decoder, x, recipe, (64, 64), before=embeds.reshape(1, -1))
    told = {"image_embeds": embeds[:1], "negative_image_embeds": embeds[empty : empty + 1], "latents": x}
    return error(ours, theirs.decoder_pipe(**told, **said).images)


def guided(edit: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What ours and stock's pipeline of an edit with the decoder are told: embeddings, and of guidance."""
    from sfumato.guide import ClassifierFree
    from sfumato.space.pixels import to_tensor
    from stock.edits import photo

    embeds = torch.randn(3, WIDTH, generator=torch.Generator().manual_seed(2))
    hint = torch.nn.functional.interpolate((to_tensor([photo(SIZE)]) + 1) / 2, (4 * SIDE, 4 * SIDE), mode="area")
    told = {"before": embeds.reshape(1, -1), "guidance": [ClassifierFree(4.0)], "sampler": "ddim"}
    asked = {"image_embeds": embeds[:1], "negative_image_embeds": embeds[2:], "guidance_scale": 4.0}
    return told, {**asked, "hint": hint} | ({"output_type": "pt"} if edit == "ControlNet" else {})


def ended(theirs: Any, ours: Any, x: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
    """Stock's pipeline with a ControlNet answers pixels alone."""
    return x if end.shape == x.shape else ours.stage.space.decode(x)


def parity(theirs: Any, ours: Any) -> float:
    """The larger of the prior's (embeddings of words) and the decoder's (latents of those)."""
    from stock.compare import error

    prior, decoder = ours.stages
    drawn, made = prior_of(theirs, prior)
    return max(error(drawn[:, :WIDTH], made.image_embeds), decoded(theirs, decoder, drawn.reshape(3, WIDTH), 2))
