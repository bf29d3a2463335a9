"""A recipe: everything that one picture depends on, as one frozen, validated value. No torch here.

Recipes are pydantic dataclasses: they are compared by value, checked whenever they are made (`dataclasses.replace`
checks again), and turn to JSON and back without loss. Anything wrong raises `BadInput` with one sentence.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from sfumato.adapt import Adapter
from sfumato.control import Control, ControlMap
from sfumato.edit import AttentionEdit, Composite, Crop, Hold, Noise, Paste, Refiner, Source, Start
from sfumato.element import Class, Kept, Listed, ModelName, Real, Whole, element, load_plugins, one_of, sentence
from sfumato.element.define import kinds_in, rebuilt
from sfumato.emphasis import Emphasis, MeanRestored
from sfumato.guide import DEFAULT as DEFAULT_GUIDANCE
from sfumato.guide import Guidance
from sfumato.network.engine import PRECISIONS, Engine
from sfumato.noise import Keyed, Randomness
from sfumato.picture import BadInput, Ref
from sfumato.recipe.stage_options import StageOptions
from sfumato.recipe.text import parameters
from sfumato.region import Region, Regional
from sfumato.sample import DEFAULT_SAMPLER, Sampler
from sfumato.sample.sampler import refuse_guidance
from sfumato.times import DEFAULT_GRID, TimeGrid

__all__ = ["PRECISIONS", "Made", "Recipe", "Ref", "StageOptions", "parameters"]

MAX_JSON = 1 << 20

_SIDE = "a multiple of 4 from 8 to 4096, or nothing for the model's own size"
_TILE = "a multiple of 64 from 64 to 4096, or 0 for no tiles"
_LABEL = "a class's name or its index, or nothing for no class"
_NAME = "text of at most 200 characters"
_PROMPT = "text of at most 20,000 characters"


@element
class Made:
    """How a picture was made, filled in by the pipe: with it, redo can say whether the pixels are the same.

    `runtime` is the library, with its version, by which the engine ran networks, if that is another than torch.
    `processor` is what `device` was, as torch tells it, and `threads` how many of a CPU's computed: the order of sums,
    and with it the last bits, depend on both. 0 threads: not known.
    """

    sfumato: str = Field(default="", max_length=200, description=_NAME)
    torch: str = Field(default="", max_length=200, description=_NAME)
    diffusers: str = Field(default="", max_length=200, description=_NAME)
    python: str = Field(default="", max_length=200, description=_NAME)
    engine: str = Field(default="", max_length=200, description=_NAME)
    runtime: str = Field(default="", max_length=200, description=_NAME)
    precision: str = Field(default="", max_length=200, description=_NAME)
    device: str = Field(default="", max_length=200, description=_NAME)
    processor: str = Field(default="", max_length=200, description=_NAME)
    threads: Whole = Field(default=0, ge=0, le=65_536, description="a whole number from 0 to 65,536")
    weights: str = Field(default="", max_length=200, description=_NAME)
    pixels: str = Field(default="", pattern="^(sha256:[0-9a-f]{64})?$", description="sha256: and 64 hexadecimal digits")
    seconds: Real = Field(default=0.0, ge=0, le=1e9, description="a number of seconds")


@element
class Recipe:
    """Everything one picture depends on. One picture, one seed: four pictures are four recipes.

    `prompt` and `negative` are for models that read text, in the grammar of `sfumato.recipe.prompt`; `label` (a
    class's name or index, None for no class) is for those that know classes.
    `clip_skip` is the layer of a CLIP that the words are read from, counted from the one that the model was trained
    with: 2 leaves one out, as A1111 has it.
    `emphasis` is what weights of words do.
    `model` is a built-in name, a folder or a Hub id; `width` and `height` None mean the model's own size. `sampler`
    and `times` are elements, as `DDIM(eta)` and `KarrasGrid(rho)`, or the names of some. The parts say in their classes
    what they do.
    `images` are reference pictures, for models that look at some while they paint; the first of them is what is held
    where nothing else is.
    `regions` are words that hold in parts of the picture, read in the way that `regional` says; where none lies the
    prompt holds. `layout` is a map of what lies where, in the colours that the model says, for models that were trained
    on such maps.
    `vae` is the folder of another autoencoder than the model's own; `tile` the side in pixels of the tiles in which it
    works, 0 for the picture as a whole.
    `stages` says how the other stages walk of a model that is several diffusions, one after the other.
    `refiner` is a second model that ends what the first began.
    `adapters` are files that are added to the model while it runs: `sfumato.adapt`.
    `composite` "paste" puts the held picture's own pixels back outside the mask; "poisson" carries its colours into
    the mask first, "latent" and "decoder" move the latents or the decoder's weights until the seam closes. `made`
    stands in recipes of pictures that have been made. `noise` says which numbers the seed stands for.
    """

    prompt: str = Field(default="", max_length=20_000, description=_PROMPT)
    negative: str = Field(default="", max_length=20_000, description=_PROMPT)
    label: Class | None = Field(default=None, description=_LABEL)
    model: str = Field(default="mini", min_length=1, max_length=4096, description="a model's name, folder or Hub id")
    clip_skip: Whole = Field(default=1, ge=1, le=12, description="a whole number from 1 (all layers) to 12")
    emphasis: Emphasis = MeanRestored()
    width: Whole | None = Field(default=None, ge=8, le=4096, multiple_of=4, description=_SIDE)
    height: Whole | None = Field(default=None, ge=8, le=4096, multiple_of=4, description=_SIDE)
    start: Start = Noise()
    hold: Hold | None = None
    images: Listed[Kept] = Field(default=(), max_length=16, description="a list of at most 16 reference pictures")
    source: Source | None = Field(default=None, description="Source(picture, task), or nothing")
    area: Crop | None = Field(default=None, description="Crop(margin), or nothing for the whole picture")
    controls: Listed[Control] = Field(
        default=(), max_length=16, description="a list of at most 16 controls, as [ControlNet(picture, net)]"
    )
    attention: AttentionEdit | None = None
    regions: Listed[Region] = Field(
        default=(), max_length=16, description="a list of at most 16 regions, as [Region('a hat', 'mask.png')]"
    )
    layout: Kept | None = Field(default=None, description="a map of what lies where, or nothing")
    regional: Regional | None = Field(default=None, description="a regional method, or nothing for what suits")
    adapters: Listed[Adapter] = Field(
        default=(), max_length=32, description="a list of at most 32 adapters, as [LoRA('me.safetensors') * 0.8]"
    )
    guidance: Listed[Guidance] = Field(
        default=DEFAULT_GUIDANCE,
        max_length=16,
        description="a list of at most 16 guidances, as [ClassifierFree(5.0)]",
    )
    refiner: Refiner | None = Field(default=None, description="Refiner(model, at), or nothing")
    sampler: Sampler = DEFAULT_SAMPLER
    times: TimeGrid = DEFAULT_GRID
    steps: Whole = Field(default=20, ge=1, le=1000, description="a whole number from 1 to 1000")
    stages: Listed[StageOptions] = Field(
        default=(), max_length=8, description="a list of at most 8 stages, as [StageOptions('upscale', steps=30)]"
    )
    composite: Composite = Paste()
    seed: Whole = Field(default=0, ge=0, le=2**63 - 1, description="a whole number from 0 to 2^63 - 1")
    noise: Randomness = Keyed()
    engine: Annotated[str, one_of(Engine.registry)] = Field(default="eager", description="an engine's name")
    precision: Annotated[str, one_of(PRECISIONS)] = Field(default="float32", description=" or ".join(PRECISIONS))
    vae: ModelName = Field(default="", description="the place of another autoencoder, or nothing for the model's own")
    tile: Whole = Field(default=0, ge=0, le=4096, multiple_of=64, description=_TILE)
    made: Made | None = Field(default=None, description="what the pipe fills in")

    @property
    def held(self) -> Ref | None:
        """The picture that is held: the hold's own, else what is started from, mended or looked at."""
        parts = (self.hold, self.start, self.source)
        own = (getattr(part, "picture", None) for part in parts)
        return next((picture for picture in (*own, *self.images) if picture is not None), None)

    @model_validator(mode="after")
    def _fits(self) -> Recipe:
        mask = None if self.hold is None else self.hold.mask
        picture = self.held
        if self.hold is not None and picture is None:
            raise ValueError("hold needs a picture: start from SDEdit(picture), or give the hold its own")
        if mask is not None and picture is not None and mask.size != picture.size:
            raise ValueError(
                f"the mask is {mask.width} x {mask.height}, but the picture is {picture.width} x {picture.height}: "
                "a mask must have the size of its picture"
            )
        if self.area is not None:
            self._check_area(self.area, picture)
        for guidance in self.guidance:
            refuse_guidance(guidance, self.sampler)
        return self

    def _check_area(self, area: Crop, picture: Ref | None) -> None:
        if picture is None or (area.box is None and (self.hold is None or self.hold.mask is None)):
            raise ValueError("area is a crop around the mask: give one, hold=Outside(mask), or a picture and a box")
        if area.box is not None:
            left, top, right, bottom = area.box
            if not (0 <= left < right <= picture.width and 0 <= top < bottom <= picture.height):
                raise ValueError(f"area's box {area.box} does not lie within {picture.width} x {picture.height} pixels")

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


def _renew() -> None:
    """A recipe takes what is registered: its fields are built anew when a method is added or taken out."""
    global _RECIPE
    rebuilt(StageOptions)
    _RECIPE = TypeAdapter(rebuilt(Recipe))


_ANNOTATIONS = [field.annotation for made in (Recipe, StageOptions) for field in made.__pydantic_fields__.values()]  # type: ignore[attr-defined]
for _base in dict.fromkeys([*(base for each in _ANNOTATIONS for base in kinds_in(each)), ControlMap]):
    _base.registry.watchers.append(_renew)
load_plugins()
