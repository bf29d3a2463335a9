"""CompVis' unconditional latent diffusion: tiny, random."""

from __future__ import annotations

from typing import Any

import torch

from stock import seeded

NAME = "latent-diffusion"
SIZE = (16, 16)
CALL: dict[str, Any] = {}


def build() -> Any:
    from diffusers import LDMPipeline

    return LDMPipeline(**parts())


def parts(planes: int = 0) -> dict[str, Any]:
    """vqvae, unet and scheduler. planes: that the network sees beside the latents."""
    from diffusers import DDIMScheduler, UNet2DModel, VQModel

    seeded()
    unet = UNet2DModel(
        sample_size=8,
        in_channels=3 + planes,
        out_channels=3,
        layers_per_block=1,
        block_out_channels=(8, 8),
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=4,
        attention_head_dim=4,
    )
    vqvae = VQModel(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 8),
        latent_channels=3,
        num_vq_embeddings=16,
        norm_num_groups=4,
        scaling_factor=0.5,
    )
    with torch.no_grad():
        vqvae.quantize.embedding.weight.normal_()  # codes far apart, so that another scale is another code
    scheduler = DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.0015,
        beta_end=0.0155,
        clip_sample=False,
        timestep_spacing="trailing",
    )
    return {"vqvae": vqvae.eval(), "unet": unet.eval(), "scheduler": scheduler}


def parity(theirs: Any, ours: Any) -> float:
    """Decoded: the stock pipeline gives no latents."""
    import torch

    from stock.compare import decoded_apart, noise, walked

    theirs.set_progress_bar_config(disable=True)
    made = theirs(num_inference_steps=5, generator=torch.Generator().manual_seed(5), output_type="np").images
    size = {"width": SIZE[0], "height": SIZE[1]}
    x = walked(ours, noise(ours, SIZE, 5), steps=5, sampler="ddim", times="trailing", **size)
    return decoded_apart(made, ours, x)
