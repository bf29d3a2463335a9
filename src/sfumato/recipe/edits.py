"""Where a picture starts, and what it holds: the elements of a recipe for both."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sfumato.recipe.checks import Kept, KeptMask, Real, element, one_of, refuse_paths
from sfumato.recipe.inversions import Between, Inferred, Inverted, LowPass

TASKS = ("colourise", "inpaint", "uncrop", "restore")

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
class Outside:
    """Hold what lies outside the mask to `picture`, noised to the same time (white = repaint, black = hold).

    `picture` None means the start's picture. The mask must have the picture's size; greys are soft edges.
    """

    mask: KeptMask = Field(description=_PICTURE)
    picture: Kept | None = Field(default=None, description=_PICTURE)
    kind: Literal["outside"] = "outside"

    _no_paths = model_validator(mode="before")(refuse_paths)


@element
class Source:
    """The picture that a model of pictures to pictures is shown beside the noise (Saharia et al. 2022), and its task.

    "colourise" shows its luma alone, "restore" all of it, "inpaint" and "uncrop" what the hold's mask leaves.
    """

    picture: Kept = Field(description=_PICTURE)
    task: Annotated[str, one_of(TASKS)] = Field(default="restore", description="a name: " + ", ".join(TASKS))
    kind: Literal["source"] = "source"

    _no_paths = model_validator(mode="before")(refuse_paths)


Start = Annotated[Noise | SDEdit | Inverted | Between, Field(discriminator="kind")]
Hold = Annotated[Outside | Inferred | LowPass, Field(discriminator="kind")]
