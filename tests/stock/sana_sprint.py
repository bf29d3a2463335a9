"""Sana-Sprint: tiny, random."""

from __future__ import annotations

from typing import Any

from stock.sana import parts

NAME = "sana-sprint"
SIZE = (64, 32)
CALL: dict[str, Any] = {"guidance_scale": 4.5, "use_resolution_binning": False}


def build() -> Any:
    from diffusers import SanaSprintPipeline, SCMScheduler

    return SanaSprintPipeline(**parts(guidance_embeds=True, qk_norm="rms_norm_across_heads"), scheduler=SCMScheduler())


def guided(edit: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What ours and stock's pipeline of an edit are told of guidance."""
    return dict.fromkeys(("guidance", "sampler")), {**CALL, "intermediate_timesteps": None}


def parity(theirs: Any, ours: Any, steps: int = 2) -> float:
    """Latents after a few steps, each of which draws the same noise."""
    import pytest
    from diffusers.schedulers import scheduling_scm

    from stock import stages
    from stock.compare import error, noise, walked

    theirs.set_progress_bar_config(disable=True)
    x, size = noise(ours, SIZE), {"width": SIZE[0], "height": SIZE[1]}
    middle = {} if steps == 2 else {"intermediate_timesteps": None}
    asked = {"num_inference_steps": steps, "output_type": "latent", **middle, **CALL, **size}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scheduling_scm, "randn_tensor", lambda wanted, **_: drawn(wanted))
        drawn = stages.steps(x)
        made = theirs("A red hat", latents=x, **asked).images
    return error(walked(ours, x, "A red hat", steps=steps, seed=stages.SEED, **size), made)
