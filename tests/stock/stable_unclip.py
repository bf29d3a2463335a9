"""Stable unCLIP: with a prior, and from a picture."""

from __future__ import annotations

from typing import Any

import torch

from stock import clip_tokenizer
from stock.kandinsky import prior_transformer
from stock.unets import SIDE, WIDTH, eye, parts, text_encoder

NAME = "stable-unclip"
SIZE = (SIDE, SIDE)
CALL: dict[str, Any] = {}


def _decoder() -> dict[str, Any]:
    from diffusers import DDPMScheduler
    from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import StableUnCLIPImageNormalizer

    found = parts(class_embed_type="projection", projection_class_embeddings_input_dim=2 * WIDTH)
    normalizer = StableUnCLIPImageNormalizer(embedding_dim=WIDTH)
    with torch.no_grad():
        normalizer.mean.normal_()
        normalizer.std.uniform_(0.5, 1.5)
        found["unet"].class_embedding.linear_1.weight.mul_(4)
    noising = DDPMScheduler(beta_schedule="squaredcos_cap_v2")
    return {**found, "image_normalizer": normalizer.eval(), "image_noising_scheduler": noising}


def build() -> Any:
    from diffusers import DDPMScheduler, StableUnCLIPPipeline

    found, tokenizer = _decoder(), clip_tokenizer()
    return StableUnCLIPPipeline(
        **found,
        prior_tokenizer=tokenizer,
        prior_text_encoder=text_encoder(tokenizer, projected=True),
        prior=prior_transformer(),
        prior_scheduler=DDPMScheduler(
            variance_type="fixed_small_log",
            prediction_type="sample",
            clip_sample=True,
            clip_sample_range=5.0,
            beta_schedule="squaredcos_cap_v2",
        ),
    )


def variations() -> Any:
    from diffusers import StableUnCLIPImg2ImgPipeline

    found, seen = _decoder(), eye()
    seen["feature_extractor"] = seen.pop("image_processor")
    return StableUnCLIPImg2ImgPipeline(**found, **seen)


def parity(theirs: Any, ours: Any, picture: Any = None) -> float:
    """Of latents of words, or of words and `picture`."""
    import pytest
    from diffusers.pipelines.stable_diffusion import pipeline_stable_unclip, pipeline_stable_unclip_img2img
    from diffusers.schedulers import scheduling_ddpm

    from sfumato.noise import KeyedNoise
    from sfumato.sample import DDIM
    from sfumato.times import LeadingGrid, TrailingGrid
    from stock.compare import error
    from stock.stages import exact, recipe_of, start, steps, walked

    for scheduler in (each for each in theirs.components.values() if hasattr(each, "alphas_cumprod")):
        exact(scheduler)
    prompt, (*prior, decoder) = "a red boat on the sea", ours.stages
    decoder = ours.adapted(ours.with_attached(())) if decoder is ours.stage else decoder
    x, before, said = start(decoder, SIZE), None, {"image": picture}
    shown = [] if picture is None else [picture]
    recipe = recipe_of(decoder, prompt, images=shown, sampler=DDIM(), times=TrailingGrid())
    with pytest.MonkeyPatch.context() as patch:
        if picture is None:
            vector = start(prior[0], SIZE)
            told = recipe_of(prior[0], prompt, times=LeadingGrid(offset=0))
            before = prior[0].space.decode(walked(prior[0], vector, told, SIZE))
            said = {"prior_latents": vector[:, :, 0, 0], "prior_num_inference_steps": 4}
            patch.setattr(scheduling_ddpm, "randn_tensor", steps(vector))
        painted = walked(decoder, x, recipe, SIZE, before)
        noise = KeyedNoise([recipe.seed])(torch.zeros(1, 32), "image embedding")
        for module in (pipeline_stable_unclip, pipeline_stable_unclip_img2img):
            patch.setattr(module, "randn_tensor", lambda *_, **__: noise)
        options = {"prompt": prompt, "latents": x, "num_inference_steps": 4, "guidance_scale": 10.0}
        made = theirs(**said, **options, width=SIDE, height=SIDE, output_type="latent").images
    return error(painted, made)
