"""Where a picture starts, and what it holds: the elements of a recipe for both."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from sfumato.recipe.checks import Box, Kept, KeptMask, Real, Whole, element, one_of, refuse_paths
from sfumato.recipe.inversions import Between, EditFriendly, Inferred, Inverted, LowPass

Task = Literal["colourise", "inpaint", "uncrop", "restore"]
TASKS: tuple[str, ...] = get_args(Task)

_PICTURE = "a picture: a path, bytes, a PIL image, an array or a Ref"


@element
class Noise:
    """Start from pure noise, drawn from the recipe's seed."""

    kind: Literal["noise"] = "noise"


@element
class SDEdit:
    """Start from `picture`, noised to t0 = `strength` (Meng et al. 2022): 0 leaves it as it is, 1 is the noise start.

    `picture` is a path, bytes, a PIL image, an array or a `Ref`; it goes through the door (`open_picture`) into the
    store, and the value holds its `Ref`.
    """

    picture: Kept = Field(description=_PICTURE)
    strength: Real = Field(
        default=0.6, ge=0, le=1, description="a number from 0 (the picture as it is) to 1 (pure noise)"
    )
    kind: Literal["sdedit"] = "sdedit"

    _no_paths = model_validator(mode="before")(refuse_paths)


@element
class Resample:
    """RePaint's resampling (Lugmayr et al. 2022): every stretch of `length` steps is walked `repeats` times, with noise
    added in between, so that what is repainted and what is held come to agree."""

    length: Whole = Field(default=10, ge=1, le=1000, description="a whole number of steps from 1 to 1000")
    repeats: Whole = Field(default=10, ge=1, le=100, description="a whole number from 1 (once, which is off) to 100")
    kind: Literal["resample"] = "resample"


@element
class Outside:
    """Hold what lies outside the mask to `picture`, noised to the same time (white = repaint, black = hold).

    `picture` None means the start's picture. The mask must have the picture's size; greys are soft edges. The mask is
    grown by `grow` pixels of the picture (shrunk where that is negative), then given a Gaussian edge that ends
    `feather` pixels farther out. `dilation`: by how many pixels it is dilated where all is noise, to shrink to itself
    as the noise falls, which gives thin masks room (Avrahami et al. 2023).
    """

    mask: KeptMask = Field(description=_PICTURE)
    picture: Kept | None = Field(default=None, description=_PICTURE)
    grow: Real = Field(default=0.0, ge=-4096, le=4096, description="a number of pixels, negative to shrink the mask")
    feather: Real = Field(default=0.0, ge=0, le=1024, description="a number of pixels from 0 (a hard edge) to 1024")
    dilation: Real = Field(default=0.0, ge=0, le=1024, description="a number of pixels from 0 to 1024")
    resample: Resample | None = Field(default=None, description="Resample(length, repeats), or nothing")
    kind: Literal["outside"] = "outside"

    _no_paths = model_validator(mode="before")(refuse_paths)


@element
class Crop:
    """Edit only what lies around the mask, at the model's size, and put it back into the picture at its own resolution.

    The box has the model's aspect and at least its size, where the picture is large enough, and leaves `margin` pixels
    around the mask. `box` (left, top, right, bottom) is filled in by the pipe, or given.
    """

    margin: Whole = Field(default=32, ge=0, le=4096, description="a whole number of pixels from 0 to 4096")
    box: Box | None = Field(default=None, description="(left, top, right, bottom) in pixels, or nothing")
    kind: Literal["crop"] = "crop"


@element
class Source:
    """The picture that a model of pictures to pictures is shown beside the noise (Saharia et al. 2022), and its task.

    "colourise" shows its luma alone, "restore" all of it, "inpaint" and "uncrop" what the hold's mask leaves.
    """

    picture: Kept = Field(description=_PICTURE)
    task: Annotated[str, one_of(TASKS)] = Field(default="restore", description="a name: " + ", ".join(TASKS))
    kind: Literal["source"] = "source"

    _no_paths = model_validator(mode="before")(refuse_paths)


Start = Annotated[Noise | SDEdit | Inverted | EditFriendly | Between, Field(discriminator="kind")]
Hold = Annotated[Outside | Inferred | LowPass, Field(discriminator="kind")]
