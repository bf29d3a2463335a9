"""Guidances by value: the elements of a recipe that `sfumato.guide` makes live."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sfumato.recipe.checks import Pair, Real, element

_LIMIT = "a number from 0.001 to 1000"


@element
class ClassifierFree:
    """Classifier-free guidance (Ho & Salimans 2022): u + scale (c - u), for t in `interval`.

    `scale` 1 means off, 0 is unconditional (the paper's w is scale - 1). Outside `interval` (in t: 0 clean, 1 noise)
    the conditional prediction stands (Kynkäänniemi et al. 2024). `rescale` pulls the standard deviation of x0 back
    towards the conditional one (Lin et al. 2023), 0 is off.
    """

    scale: Real = Field(default=5.0, ge=0, le=1000, description="a number from 0 to 1000, where 1 means off")
    interval: Pair = Field(default=(0.0, 1.0), description="two times (low, high) with 0 <= low <= high <= 1")
    rescale: Real = Field(default=0.0, ge=0, le=1, description="a number from 0 (off) to 1")
    kind: Literal["classifier-free"] = "classifier-free"

    @model_validator(mode="after")
    def _ordered(self) -> ClassifierFree:
        low, high = self.interval
        if not 0 <= low <= high <= 1:
            raise ValueError(f"interval is ({low:g}, {high:g}): give two times (low, high) with 0 <= low <= high <= 1")
        return self


@element
class StaticThreshold:
    """Clip the predicted x0 to [-limit, limit] (Saharia et al. 2022, section 2.3)."""

    limit: Real = Field(default=1.0, ge=1e-3, le=1e3, description=_LIMIT)
    kind: Literal["static-threshold"] = "static-threshold"


@element
class DynamicThreshold:
    """Clip x0 to the `percentile` s of its absolute values and scale by limit/s, if s > limit (Saharia et al. 2022)."""

    percentile: Real = Field(default=0.995, ge=1e-3, le=1, description="a fraction from 0.001 to 1")
    limit: Real = Field(default=1.0, ge=1e-3, le=1e3, description=_LIMIT)
    kind: Literal["dynamic-threshold"] = "dynamic-threshold"


Guidance = Annotated[ClassifierFree | StaticThreshold | DynamicThreshold, Field(discriminator="kind")]
