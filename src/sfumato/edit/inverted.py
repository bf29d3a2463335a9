"""A start from the noise that the sampler turns into the picture: DDIM inversion, with null text where it is asked."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from sfumato.edit.ddim_inversion import Inversion
from sfumato.edit.null_text import NullTextInversion  # which needs torch
from sfumato.edit.start import Start
from sfumato.element import Kept, Real, Whole, element
from sfumato.picture import BadInput


@element("inverted", short="ddim")
class Inverted(Start):
    """Start from `picture`, inverted by DDIM to t0 = `strength`, where it is the noise that DDIM turns into it.

    `shows` says what the picture shows (a class's name, for models of classes); "" will do. `refine` fixed-point
    iterations a step bring DDIM back to the picture itself, unguided; `null` iterations of null-text optimisation a
    step (Mokady et al. 2023; 10 in the paper) bring it back under the recipe's classifier-free guidance.
    """

    picture: Kept = Field(description="a picture: a path, bytes, a PIL image, an array or a Ref")
    strength: Real = Field(
        default=0.8, ge=0, le=1, description="a number from 0 (the picture as it is) to 1 (where it is all noise)"
    )
    shows: str = Field(default="", max_length=20_000, description="text of at most 20,000 characters")
    refine: Whole = Field(default=2, ge=0, le=100, description="a whole number from 0 (plain DDIM inversion) to 100")
    null: Whole = Field(default=0, ge=0, le=1000, description="a whole number from 0 (off) to 1000")

    def bind(self, batch: Any) -> Inversion:
        if batch.recipe.times.rises:
            raise BadInput(
                "An inverted start is walked down once, and restart walks steps anew: take another time grid."
            )
        x0 = batch.encoded(batch.images["start"])
        if self.null == 0:
            return Inversion(batch.shown(self.shows), x0, batch.times, self.strength, self.refine)
        scale = batch.null_scale("null-text optimisation", "null", self.shows)
        told = batch.denoise(prompt=self.shows).condition
        return NullTextInversion(
            batch.stage.denoiser, told, x0, batch.times, self.strength, self.refine, scale, self.null
        )
