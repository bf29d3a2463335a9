"""Stable Diffusion 2: velocities, a text encoder of OpenCLIP, linear projections, heads by width."""

from __future__ import annotations

from typing import Any

from stock.unets import SIDE, UNSAFE, parts, scheduler

NAME = "stable-diffusion"
SIZE = (SIDE, SIDE)
CALL: dict[str, Any] = {}


def build(**noise: Any) -> Any:
    from diffusers import StableDiffusionPipeline

    found = parts(use_linear_projection=True, upcast_attention=True, attention_head_dim=(2, 4))
    return StableDiffusionPipeline(
        **found | {"scheduler": scheduler(prediction_type="v_prediction", **noise)}, image_encoder=None, **UNSAFE
    )


def turbo() -> Any:
    """What was distilled to few steps: Euler's method on a trailing grid."""
    from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline

    found = parts()
    euler = EulerDiscreteScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, timestep_spacing="trailing"
    )
    return StableDiffusionPipeline(**found | {"scheduler": euler}, image_encoder=None, **UNSAFE)


def flow() -> Any:
    """What was trained by flow matching, as fine-tunes of Stable Diffusion are that are told a shift."""
    from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

    solver = DPMSolverMultistepScheduler(use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=2.0)
    return StableDiffusionPipeline(**parts() | {"scheduler": solver}, image_encoder=None, **UNSAFE)


def guided(edit: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What ours and stock's pipeline of an edit are told of guidance."""
    from sfumato.guide import ClassifierFree

    return {"guidance": [ClassifierFree(5.0)], "sampler": "ddim"}, {"guidance_scale": 5.0}


def parity(theirs: Any, ours: Any) -> float:
    from sfumato.guide import ClassifierFree
    from stock.compare import latents_apart

    said = {"prompt": "a red hat", "guidance": [ClassifierFree(5.0)]}
    return latents_apart(theirs, ours, "a red hat", said=said, guidance_scale=5.0, width=SIDE, height=SIDE)
