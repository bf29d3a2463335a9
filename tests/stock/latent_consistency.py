"""A latent consistency model, which is told the scale of its guidance."""

from __future__ import annotations

from typing import Any

from stock.unets import SIDE, UNSAFE, parts

NAME = "stable-diffusion"
SIZE = (SIDE, SIDE)
CALL: dict[str, Any] = {"num_inference_steps": 4}


def build() -> Any:
    from diffusers import LatentConsistencyModelPipeline, LCMScheduler

    found = parts(more={"scheduler": LCMScheduler()}, time_cond_proj_dim=32)
    return LatentConsistencyModelPipeline(**found, **UNSAFE)
