"""A latent consistency model, which is told the scale of its guidance."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import torch

from stock.unets import SIDE, UNSAFE, parts

NAME = "stable-diffusion"
SIZE = (SIDE, SIDE)
CALL: dict[str, Any] = {"num_inference_steps": 4}


def build() -> Any:
    from diffusers import LatentConsistencyModelPipeline, LCMScheduler

    found = parts(more={"scheduler": LCMScheduler()}, time_cond_proj_dim=32)
    return LatentConsistencyModelPipeline(**found, **UNSAFE)


def guided(edit: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What ours and stock's pipeline of an edit are told of guidance."""
    return dict.fromkeys(("guidance", "sampler")), {"guidance_scale": 8.5}


def parity(theirs: Any, ours: Any) -> float:
    """In the steps and with the scale that suit it; stock draws the noise of each step that we draw."""
    from diffusers.schedulers import scheduling_lcm

    from sfumato.noise import KeyedNoise
    from stock.compare import latents_apart

    steps, drawn = iter(range(4)), KeyedNoise([3])

    def draw(shape: Any, **_: Any) -> Any:
        return drawn.at("step", next(steps))(torch.zeros(shape))

    said = {"prompt": "a red hat", **dict.fromkeys(("guidance", "sampler", "times", "steps"))}
    asked = {"guidance_scale": 8.5, "timesteps": [999, 749, 499, 249], "width": SIDE, "height": SIDE}
    with patch.object(scheduling_lcm, "randn_tensor", draw):
        return latents_apart(theirs, ours, "a red hat", said=said, **asked)
