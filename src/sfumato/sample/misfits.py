"""Which samplers a denoiser refuses: those that would take its answer for something else."""

from __future__ import annotations

from typing import Any

from sfumato.picture.errors import BadInput
from sfumato.sample.consistency import Consistency
from sfumato.sample.sampler import Sampler


def refuse_misfits(denoise: Any, sampler: Sampler) -> None:
    """Raises BadInput where a denoiser, bound, guided or alone, and a sampler don't go together.

    A consistency function's x0 is no mean over what x_t may have been, and the eps that follows no score: every solver
    of the flow would err. A guidance that moves x0 and leaves eps (CFG++) is lost, wholly or in part, on a sampler
    that reads the slope at x from them: its pictures would be those of weaker guidance, or of none.
    """
    inner = denoise
    while inner is not None:
        if getattr(inner, "consistency", False) and not isinstance(sampler, Consistency):
            raise BadInput(
                f"This model is a consistency function, which {type(sampler).__name__} cannot walk: "
                'choose the sampler "consistency".'
            )
        for guidance in getattr(inner, "guidances", ()):
            refuse_guidance(guidance, sampler)
        inner = getattr(inner, "denoiser", None)


def refuse_guidance(guidance: Any, sampler: Sampler) -> None:
    """Raises BadInput where `sampler` reads the score at x from its answer, and `guidance` doesn't keep it one."""
    if sampler.reads_score and not getattr(guidance, "keeps_score", True):
        raise BadInput(
            f"{type(guidance).__name__} guides the picture and not the noise, and {type(sampler).__name__} takes both "
            "for one answer: choose another sampler, as ddim or dpmpp-2m, or another guidance, as classifier-free."
        )
