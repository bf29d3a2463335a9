"""Edits that keep to what a picture is: begun from its inversion, held where words change nothing, or held coarsely."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sfumato.recipe.checks import Kept, Real, Whole, element, one_of, refuse_paths

WAYS = ("inverted", "noised")

_PICTURE = "a picture: a path, bytes, a PIL image, an array or a Ref"
_SHOWS = "text of at most 20,000 characters"
_REFINE = "a whole number from 0 (plain DDIM inversion) to 100"
_STRENGTH = "a number from 0 (the picture as it is) to 1 (where it is all noise)"


@element
class Inverted:
    """Start from `picture`, inverted by DDIM to t0 = `strength`, where it is the noise that DDIM turns into it.

    `shows` says what the picture shows (a class's name, for models of classes); "" will do. `refine` fixed-point
    iterations a step bring DDIM back to the picture itself, unguided; `null` iterations of null-text optimisation a
    step (Mokady et al. 2023; 10 in the paper) bring it back under the recipe's classifier-free guidance.
    """

    picture: Kept = Field(description=_PICTURE)
    strength: Real = Field(default=0.8, ge=0, le=1, description=_STRENGTH)
    shows: str = Field(default="", max_length=20_000, description=_SHOWS)
    refine: Whole = Field(default=2, ge=0, le=100, description=_REFINE)
    null: Whole = Field(default=0, ge=0, le=1000, description="a whole number from 0 (off) to 1000")
    kind: Literal["inverted"] = "inverted"

    _no_paths = model_validator(mode="before")(refuse_paths)


@element
class EditFriendly:
    """Start from `picture`, with the very noise from which ancestral sampling ("ddpm" or DDIM(eta)) paints it
    (Huberman-Spiegelglas et al. 2024): with the words of `shows`, unguided, it comes back to rounding, and with others
    the noise carries over what they say nothing of.
    """

    picture: Kept = Field(description=_PICTURE)
    strength: Real = Field(default=0.7, ge=0, le=1, description=_STRENGTH)
    shows: str = Field(default="", max_length=20_000, description=_SHOWS)
    kind: Literal["edit-friendly"] = "edit-friendly"

    _no_paths = model_validator(mode="before")(refuse_paths)


@element
class Between:
    """Start between `picture` (`weight` 0) and `other` (1), both brought to t0 = `strength` and mixed there.

    `way` "inverted" inverts both and mixes on the sphere, so that at the ends they come back; "noised" adds the same
    noise to both and mixes straight (Ho et al. 2020). `refine` as in `Inverted`.
    """

    picture: Kept = Field(description=_PICTURE)
    other: Kept = Field(description=_PICTURE)
    weight: Real = Field(default=0.5, ge=0, le=1, description="a number from 0 (the first) to 1 (the other)")
    strength: Real = Field(default=0.6, gt=0, le=1, description="a number above 0 (a cross-fade) and up to 1")
    way: Annotated[str, one_of(WAYS)] = Field(default="inverted", description=" or ".join(WAYS))
    refine: Whole = Field(default=2, ge=0, le=100, description=_REFINE)
    kind: Literal["between"] = "between"

    _no_paths = model_validator(mode="before")(refuse_paths)


@element
class Inferred:
    """Hold what lies outside the mask that two texts infer (DiffEdit): where the recipe's words and `shows` disagree
    about `picture` (None: the start's), it may change; elsewhere it is its own inversion, and in the end itself.

    `draws` noises of time `level` are averaged, and what exceeds `threshold` of the range is the mask, grown by `grow`
    pixels. `refine` as in `Inverted`, where the start is not one.
    """

    shows: str = Field(default="", max_length=20_000, description=_SHOWS)
    picture: Kept | None = Field(default=None, description=_PICTURE)
    draws: Whole = Field(default=10, ge=1, le=1000, description="a whole number from 1 to 1000")
    level: Real = Field(default=0.8, gt=0, le=1, description="a time above 0 and up to 1")
    threshold: Real = Field(default=0.4, ge=0, lt=1, description="a number from 0 and below 1")
    grow: Real = Field(default=0.0, ge=-4096, le=4096, description="a number of pixels, negative to shrink the mask")
    refine: Whole = Field(default=2, ge=0, le=100, description=_REFINE)
    kind: Literal["inferred"] = "inferred"

    _no_paths = model_validator(mode="before")(refuse_paths)


@element
class LowPass:
    """Hold the low frequencies of `picture` (None: the start's), those that survive scaling down by `factor` (ILVR,
    Choi et al. 2021), down to the time `until`. What is finer is free."""

    factor: Real = Field(default=4.0, ge=1, le=1024, description="a number from 1 (all of it) to 1024")
    until: Real = Field(default=0.0, ge=0, le=1, description="a time from 0 (to the end) to 1")
    picture: Kept | None = Field(default=None, description=_PICTURE)
    kind: Literal["low-pass"] = "low-pass"

    _no_paths = model_validator(mode="before")(refuse_paths)
