"""unCLIP as Karlo has it, and its image variations."""

from __future__ import annotations

from typing import Any

import torch

from stock import clip_tokenizer, seeded
from stock.kandinsky import prior_transformer, unclip_scheduler
from stock.unets import SIDE, WIDTH, eye, simple_unet, text_encoder

NAME = "unclip"
SIZE = (SIDE, SIDE)
CALL: dict[str, Any] = {}


def _decoder() -> dict[str, Any]:
    from diffusers.pipelines.deprecated.unclip.text_proj import UnCLIPTextProjModel

    unet = simple_unet(3, 6, class_embed_type="identity")
    projection = UnCLIPTextProjModel(clip_embeddings_dim=WIDTH, time_embed_dim=64, cross_attention_dim=16)
    with torch.no_grad():
        projection.learned_classifier_free_guidance_embeddings.normal_()
        projection.text_encoder_hidden_states_norm.weight.mul_(8)
        projection.clip_image_embeddings_project_to_time_embeddings.weight.mul_(4)
    scheduler = unclip_scheduler(variance_type="learned_range", prediction_type="epsilon", clip_sample_range=1.0)
    return {"decoder": unet.eval(), "text_proj": projection.eval(), "decoder_scheduler": scheduler}


def _upsampler() -> dict[str, Any]:
    from diffusers import UNet2DModel

    def unet() -> Any:
        return UNet2DModel(
            sample_size=SIDE,
            in_channels=6,
            out_channels=3,
            block_out_channels=(8, 16),
            layers_per_block=1,
            down_block_types=("ResnetDownsampleBlock2D",) * 2,
            up_block_types=("ResnetUpsampleBlock2D",) * 2,
            resnet_time_scale_shift="scale_shift",
            norm_num_groups=4,
            add_attention=False,
        ).eval()

    scheduler = unclip_scheduler(prediction_type="epsilon", clip_sample_range=1.0)
    return {"super_res_first": unet(), "super_res_last": unet(), "super_res_scheduler": scheduler}


def _words() -> dict[str, Any]:
    tokenizer = clip_tokenizer()
    return {"tokenizer": tokenizer, "text_encoder": text_encoder(tokenizer, projected=True)}


def build() -> Any:
    from diffusers import UnCLIPPipeline

    seeded()
    prior = {"prior": prior_transformer(), "prior_scheduler": unclip_scheduler()}
    return UnCLIPPipeline(**prior, **_decoder(), **_upsampler(), **_words())


def variations() -> Any:
    from diffusers import UnCLIPImageVariationPipeline

    seeded()
    seen = eye()
    seen["feature_extractor"] = seen.pop("image_processor")
    return UnCLIPImageVariationPipeline(**_decoder(), **_upsampler(), **_words(), **seen)


def parity(theirs: Any, ours: Any, picture: Any = None) -> float:
    """Of pictures of words, or like `picture`: the mean difference. The first step divides by an alpha of 5e-5, whose
    rounding shows in single pixels."""
    import pytest
    from diffusers.schedulers import scheduling_unclip

    from stock.stages import exact, in_turn, recipe_of, start, walked

    for scheduler in (each for each in theirs.components.values() if hasattr(each, "alphas_cumprod")):
        exact(scheduler)
    prompt, small = "a red boat on the sea", (SIDE // 2, SIDE // 2)
    *prior, decoder, upsampler = ours.stages
    x, large = start(decoder, small), start(upsampler, SIZE)
    before, drawn, said = None, [], {"image": picture}
    recipe = recipe_of(decoder, images=[picture]) if picture is not None else recipe_of(decoder, prompt)
    if picture is None:
        vector = start(prior[0], small)
        before = prior[0].space.decode(walked(prior[0], vector, recipe_of(prior[0], prompt), small))
        drawn = [(vector, 3)]
        said = {"prompt": prompt, "prior_latents": vector[:, :, 0, 0], "prior_num_inference_steps": 4}
    painted = walked(upsampler, large, recipe_of(upsampler), SIZE, walked(decoder, x, recipe, small, before))
    latents = {"decoder_latents": x, "super_res_latents": large}
    steps = {"decoder_num_inference_steps": 4, "super_res_num_inference_steps": 4}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scheduling_unclip, "randn_tensor", in_turn(*drawn, (x, 3), (large, 3)))
        made = theirs(**said, **latents, **steps, output_type="np").images
    apart = (painted / 2 + 0.5).clamp(0, 1) - torch.from_numpy(made).movedim(-1, 1)
    return float(apart.abs().mean())
