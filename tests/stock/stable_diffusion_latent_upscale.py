"""Stable Diffusion's latent upscaler: tiny, random; of a picture of half the size."""

from __future__ import annotations

from typing import Any

from stock import clip_tokenizer, seeded
from stock.unets import WIDTH, autoencoder, text_encoder

NAME = "stable-diffusion-latent-upscale"
SMALL = (32, 16)
SIZE = (64, 32)
CALL: dict[str, Any] = {}


def build() -> Any:
    from diffusers import EulerDiscreteScheduler, StableDiffusionLatentUpscalePipeline, UNet2DConditionModel

    seeded()
    tokenizer = clip_tokenizer()
    unet = UNet2DConditionModel(
        act_fn="gelu",
        sample_size=32,
        in_channels=8,
        out_channels=5,
        block_out_channels=(32, 32, 64, 64),
        layers_per_block=1,
        down_block_types=("KDownBlock2D", *("KCrossAttnDownBlock2D",) * 3),
        mid_block_type=None,
        up_block_types=(*("KCrossAttnUpBlock2D",) * 3, "KUpBlock2D"),
        attention_head_dim=8,
        norm_num_groups=None,
        conv_in_kernel=1,
        conv_out_kernel=1,
        cross_attention_dim=WIDTH,
        cross_attention_norm="layer_norm",
        only_cross_attention=False,
        resnet_time_scale_shift="scale_shift",
        time_embedding_type="fourier",
        timestep_post_act="gelu",
        time_cond_proj_dim=128 + WIDTH,
    )
    euler = EulerDiscreteScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, prediction_type="sample"
    )
    return StableDiffusionLatentUpscalePipeline(
        vae=autoencoder(),
        text_encoder=text_encoder(tokenizer),
        tokenizer=tokenizer,
        unet=unet.eval(),
        scheduler=euler,
    )


def parity(theirs: Any, ours: Any) -> float:
    """Guided latents, by Euler's method on the stock grid."""
    from sfumato.guide import ClassifierFree
    from stock.compare import error, noise, walked
    from stock.edits import photo

    theirs.set_progress_bar_config(disable=True)
    x, small = noise(ours, SIZE), photo(SMALL)
    asked = {"num_inference_steps": 4, "guidance_scale": 3.0, "output_type": "latent"}
    made = theirs("a red hat", small, negative_prompt="a boat", latents=x, **asked).images
    sigmas = theirs.scheduler.sigmas.double()
    schedule = ours.stage.denoiser.schedule
    knots = schedule.time(sigmas)
    alpha, _ = schedule(knots[0])
    begins = x * theirs.scheduler.init_noise_sigma * float(alpha)
    said = {"negative": "a boat", "images": [small], "guidance": [ClassifierFree(3.0)], "sampler": "euler"}
    size = {"width": SIZE[0], "height": SIZE[1]}
    return error(walked(ours, begins, "a red hat", knots, steps=4, **said, **size), made)
