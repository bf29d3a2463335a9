"""PixArt-alpha and -Sigma: tiny, random."""

from __future__ import annotations

from typing import Any

from stock import seeded, t5_tokenizer

NAME = "pixart"
SIZE = (32, 16)
CALL: dict[str, Any] = {"guidance_scale": 4.5, "use_resolution_binning": False}


def build(sigma: bool = True, sample: int = 16) -> Any:
    """sample: cells along a side; at 128 PixArt-alpha is told the size of the picture."""
    import diffusers
    from diffusers import AutoencoderKL, DDIMScheduler, PixArtTransformer2DModel
    from transformers import T5Config, T5EncoderModel

    seeded()
    tokenizer = t5_tokenizer(window=300)
    transformer = PixArtTransformer2DModel(
        sample_size=sample,
        num_layers=2,
        patch_size=2,
        attention_head_dim=12,
        num_attention_heads=2,
        caption_channels=16,
        in_channels=4,
        cross_attention_dim=24,
        out_channels=8,
        use_additional_conditions=not sigma and sample == 128,
    )
    vae = AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        block_out_channels=[8, 8],
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        scaling_factor=0.13025,
    )
    config = T5Config(
        vocab_size=len(tokenizer) + 4,
        d_model=16,
        d_kv=8,
        d_ff=16,
        num_layers=2,
        num_heads=2,
        feed_forward_proj="gated-gelu",
    )
    kind = diffusers.PixArtSigmaPipeline if sigma else diffusers.PixArtAlphaPipeline
    return kind(
        tokenizer=tokenizer,
        text_encoder=T5EncoderModel(config).eval(),
        vae=vae.eval(),
        transformer=transformer.eval(),
        scheduler=DDIMScheduler(beta_start=0.0001, beta_end=0.02, clip_sample=False, timestep_spacing="trailing"),
    )


def parity(theirs: Any, ours: Any) -> float:
    from stock.compare import error, noise, walked

    theirs.set_progress_bar_config(disable=True)
    x, size = noise(ours, SIZE), {"width": SIZE[0], "height": SIZE[1]}
    asked = {"negative_prompt": "blue, with a boat", "num_inference_steps": 5, "output_type": "latent", **CALL, **size}
    walk = {"negative": "blue, with a boat", "steps": 5, "sampler": "ddim", "times": "trailing", **size}
    return error(walked(ours, x, "A Red hat", **walk), theirs("A Red hat", latents=x, **asked).images)
