"""Samplers by value: their names, and an element for each that has options."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sfumato.recipe.checks import Real, element

SAMPLERS = ("ddpm", "ddim", "euler", "heun", "dpmpp-2m", "dpmpp-2m-sde")


@element
class DDIM:
    """The DDIM sampler with its noise: `eta` 0 is deterministic (the name "ddim"), 1 is ancestral."""

    eta: Real = Field(default=0.0, ge=0, le=1, description="a number from 0 (deterministic) to 1 (ancestral)")
    kind: Literal["ddim"] = "ddim"
