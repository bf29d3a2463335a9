"""CompVis' latent diffusion that makes a picture larger: tiny, random; of a picture of half the size."""

from __future__ import annotations

from typing import Any

from stock.latent_diffusion import parts

NAME = "latent-diffusion-upscale"
SMALL = (64, 32)  # the stock pipeline makes its sides multiples of 32
SIZE = (128, 64)
CALL: dict[str, Any] = {}


def build() -> Any:
    from diffusers import LDMSuperResolutionPipeline

    return LDMSuperResolutionPipeline(**parts(3))


def parity(theirs: Any, ours: Any) -> float:
    """Decoded: the stock pipeline gives no latents."""
    import torch

    from stock.compare import decoded_apart, noise, ran
    from stock.edits import photo

    theirs.set_progress_bar_config(disable=True)
    small = photo(SMALL)
    asked = {"num_inference_steps": 5, "eta": 0.0, "output_type": "np"}
    made = theirs(small, generator=torch.Generator().manual_seed(5), **asked).images
    said: dict[str, Any] = {"width": SIZE[0], "height": SIZE[1], "latents": noise(ours, SIZE, 5)}
    return decoded_apart(made, ours, ran(ours, images=[small], steps=5, sampler="ddim", times="trailing", **said)[1])
