"""A recipe: everything that one picture depends on, as one frozen, validated value. No torch here.

Recipes are pydantic dataclasses: they are compared by value, checked whenever they are made (`dataclasses.replace`
checks again), and turn to JSON and back without loss. Anything wrong raises `BadInput` with one sentence.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from sfumato.picture import BadInput, Ref
from sfumato.recipe.checks import Kept, KeptMask, Listed, Pair, Real, Whole, element, one_of, refuse_paths, sentence
from sfumato.recipe.text import parameters

__all__ = [
    "DDIM",
    "ENGINES",
    "PRECISIONS",
    "SAMPLERS",
    "TIMES",
    "ClassifierFree",
    "DynamicThreshold",
    "Made",
    "Noise",
    "Outside",
    "Recipe",
    "Ref",
    "SDEdit",
    "StaticThreshold",
    "parameters",
]

SAMPLERS = ("ddpm", "ddim", "euler", "heun", "dpmpp-2m", "dpmpp-2m-sde")
TIMES = ("uniform", "leading", "trailing", "karras", "log-snr")
COMPOSITES = ("paste", "none")
ENGINES = ("eager", "exact")
PRECISIONS = ("float32", "bfloat16")
MAX_JSON = 1 << 20

_PICTURE = "a picture: a path, bytes, a PIL image, an array or a Ref"
_SIDE = "a multiple of 8 from 16 to 4096, or nothing for the model's own size"
_LIMIT = "a number from 0.001 to 1000"
_NAME = "text of at most 200 characters"
_PROMPT = "text of at most 20,000 characters"


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


@element
class DDIM:
    """The DDIM sampler with its noise: `eta` 0 is deterministic (the name "ddim"), 1 is ancestral."""

    eta: Real = Field(default=0.0, ge=0, le=1, description="a number from 0 (deterministic) to 1 (ancestral)")
    kind: Literal["ddim"] = "ddim"


@element
class Made:
    """How a picture was made, filled in by the pipe: with it, redo can say whether the pixels are the same."""

    sfumato: str = Field(default="", max_length=200, description=_NAME)
    torch: str = Field(default="", max_length=200, description=_NAME)
    diffusers: str = Field(default="", max_length=200, description=_NAME)
    python: str = Field(default="", max_length=200, description=_NAME)
    engine: str = Field(default="", max_length=200, description=_NAME)
    precision: str = Field(default="", max_length=200, description=_NAME)
    device: str = Field(default="", max_length=200, description=_NAME)
    weights: str = Field(default="", max_length=200, description=_NAME)
    pixels: str = Field(default="", pattern="^(sha256:[0-9a-f]{64})?$", description="sha256: and 64 hexadecimal digits")
    seconds: Real = Field(default=0.0, ge=0, le=1e9, description="a number of seconds")


Start = Annotated[Noise | SDEdit, Field(discriminator="kind")]
Guidance = Annotated[ClassifierFree | StaticThreshold | DynamicThreshold, Field(discriminator="kind")]


@element
class Recipe:
    """Everything one picture depends on. One picture, one seed: four pictures are four recipes.

    `model` is a built-in name, a folder or a Hub id; `width` and `height` None mean the model's own size. `sampler` is
    a name of `SAMPLERS` or `DDIM(eta)`, `times` a name of `TIMES`. The parts say in their classes what they do.
    `composite` "paste" puts the held picture's own pixels back outside the mask. `made` stands in recipes of pictures
    that have been made.
    """

    prompt: str = Field(default="", max_length=20_000, description=_PROMPT)
    negative: str = Field(default="", max_length=20_000, description=_PROMPT)
    model: str = Field(default="mini", min_length=1, max_length=4096, description="a model's name, folder or Hub id")
    width: Whole | None = Field(default=None, ge=16, le=4096, multiple_of=8, description=_SIDE)
    height: Whole | None = Field(default=None, ge=16, le=4096, multiple_of=8, description=_SIDE)
    start: Start = Field(default=Noise(), description="Noise() or SDEdit(picture, strength)")
    hold: Outside | None = Field(default=None, description="Outside(mask, picture), or nothing")
    guidance: Listed[Guidance] = Field(
        default=(ClassifierFree(),),
        max_length=16,
        description="a list of at most 16 guidances, as [ClassifierFree(5.0)]",
    )
    sampler: Annotated[str | DDIM, one_of(SAMPLERS)] = Field(
        default="dpmpp-2m", description="a sampler's name, or DDIM(eta)"
    )
    times: Annotated[str, one_of(TIMES)] = Field(default="uniform", description="a name: " + ", ".join(TIMES))
    steps: Whole = Field(default=20, ge=1, le=1000, description="a whole number from 1 to 1000")
    composite: Annotated[str, one_of(COMPOSITES)] = Field(default="paste", description="paste or none")
    seed: Whole = Field(default=0, ge=0, le=2**63 - 1, description="a whole number from 0 to 2^63 - 1")
    engine: Annotated[str, one_of(ENGINES)] = Field(default="eager", description=" or ".join(ENGINES))
    precision: Annotated[str, one_of(PRECISIONS)] = Field(default="float32", description=" or ".join(PRECISIONS))
    made: Made | None = Field(default=None, description="what the pipe fills in")

    @model_validator(mode="after")
    def _fits(self) -> Recipe:
        if self.hold is not None:
            mask: Ref = self.hold.mask
            picture: Ref | None = self.hold.picture or getattr(self.start, "picture", None)
            if picture is None:
                raise ValueError("hold needs a picture: start from SDEdit(picture), or give Outside(mask, picture)")
            if mask.size != picture.size:
                raise ValueError(
                    f"the mask is {mask.width} x {mask.height}, but the picture is {picture.width} x {picture.height}: "
                    "a mask must have the size of its picture"
                )
        return self

    def to_json(self, *, indent: int | None = None) -> str:
        """The recipe as JSON with every field written out; `Recipe.from_json` gives an equal value back."""
        return _RECIPE.dump_json(self, indent=indent).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Recipe:
        """The recipe in `text`, which may be a stranger's: unknown fields, paths of pictures and NaN are refused."""
        if len(text) > MAX_JSON:
            raise BadInput(f"the recipe is {len(text) >> 10} KiB of JSON: at most {MAX_JSON >> 10} KiB are read")
        try:
            return _RECIPE.validate_json(text)
        except ValidationError as error:
            raise BadInput(sentence(error, cls, "the recipe")) from None


_RECIPE = TypeAdapter(Recipe)
