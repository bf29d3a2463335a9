"""DiT: tiny, random, of as many classes as the stock pipeline counts on."""

from __future__ import annotations

from typing import Any

from stock import seeded

NAME = "dit"
SIZE = (16, 16)
CALL: dict[str, Any] = {"class_labels": [3], "guidance_scale": 4.0}


def build() -> Any:
    from diffusers import AutoencoderKL, DDIMScheduler, DiTPipeline, DiTTransformer2DModel

    seeded()
    transformer = DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=4,
        out_channels=8,
        num_layers=2,
        sample_size=8,
        num_embeds_ada_norm=1000,
    )
    vae = AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        block_out_channels=[8, 8],
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        scaling_factor=0.18215,
    )
    return DiTPipeline(
        transformer=transformer.eval(),
        vae=vae.eval(),
        scheduler=DDIMScheduler(beta_start=0.0001, beta_end=0.02, clip_sample=False, timestep_spacing="trailing"),
    )


def parity(theirs: Any, ours: Any) -> float:
    """Decoded: the stock pipeline gives no latents."""
    import torch

    from stock.compare import decoded_apart, noise, walked

    theirs.set_progress_bar_config(disable=True)
    drawn = torch.Generator().manual_seed(5)
    made = theirs([3], guidance_scale=4.0, num_inference_steps=5, generator=drawn, output_type="np").images
    size = {"width": SIZE[0], "height": SIZE[1]}
    x = walked(ours, noise(ours, SIZE, 5), label=3, steps=5, sampler="ddim", times="trailing", **size)
    return decoded_apart(made, ours, x)
