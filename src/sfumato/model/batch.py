"""What the acting parts of a run are made from: a stage, recipes that differ in seed and words alone, and pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional

from sfumato.condition import Condition, Part
from sfumato.control.control import steering
from sfumato.denoise import Bound, bind
from sfumato.guide import Gradient, Guidance, Guided
from sfumato.model.view import View, Whole
from sfumato.network.engine import Engine, engine_of
from sfumato.noise import NoiseSource
from sfumato.picture import BadInput, Ref, fetch
from sfumato.picture.area import alike
from sfumato.picture.errors import note
from sfumato.recipe import Recipe
from sfumato.recipe.capabilities import Capabilities
from sfumato.recipe.prompt import check_single, literal, parse, plan_of
from sfumato.region.region import told_by_region
from sfumato.schedule import Schedule
from sfumato.space.pixels import mask_to_tensor, to_images, to_tensor

if TYPE_CHECKING:
    from sfumato.control.maps import ControlMap
    from sfumato.stage import Stage


@dataclass(frozen=True)
class Batch:
    """One batch of resolved recipes that differ in seed and words alone; `size` is (width, height) of the run.

    before: what the stage before has made; again: what that makes of other recipes; drawn: whose noise it goes on with;
    found: the masks that were inferred there, one a picture. All of them nothing in a first stage.
    It never changes: what a start, a hold or a guidance finds out on the way it keeps itself.
    """

    stage: Stage
    recipes: Sequence[Recipe]
    size: tuple[int, int]
    before: Tensor | None = None
    again: Callable[[Sequence[Recipe]], Tensor] | None = None
    drawn: NoiseSource | None = None
    found: Sequence[Image.Image] = ()

    @property
    def recipe(self) -> Recipe:
        """The first, which stands for all where they are alike."""
        return self.recipes[0]

    @property
    def rows(self) -> int:
        return len(self.recipes)

    @property
    def device(self) -> torch.device:
        """Where x, conditions and masks live."""
        return torch.device(self.stage.device)

    @property
    def engine(self) -> Engine:
        """What runs networks."""
        return engine_of(self.recipe.engine)

    @property
    def schedule(self) -> Schedule:
        return self.stage.denoiser.schedule

    # pictures

    @cached_property
    def view(self) -> View:
        return View(self.size, None if self.recipe.area is None else self.recipe.area.box)

    @property
    def shown_box(self) -> tuple[float, float, float, float]:
        """The part of the whole picture that the run sees: left, top, right, bottom as fractions of it."""
        held = self.recipe.held
        if held is None or self.view.box is None:
            return (0.0, 0.0, 1.0, 1.0)
        left, top, right, bottom = self.view.box
        return (left / held.width, top / held.height, right / held.width, bottom / held.height)

    @cached_property
    def images(self) -> Mapping[str, Image.Image]:
        """The pictures that the recipe names, as the run sees them: "start", "source" (to be mended), "held", "layout",
        and by its field's name any other of the start's."""
        recipe = self.recipe
        refs = {name if name != "picture" else "start": ref for name, ref in _pictures(recipe.start).items()}
        if recipe.source is not None:
            refs["source"] = recipe.source.picture
        if recipe.hold is not None and recipe.held is not None:
            refs["held"] = recipe.held
        seen = {ref: self.view(self._fitted(ref)) for ref in dict.fromkeys(refs.values())}
        found = {name: seen[ref] for name, ref in refs.items()}
        return found if recipe.layout is None else {**found, "layout": self._viewed(recipe.layout, nearest=True)}

    @cached_property
    def references(self) -> list[Image.Image]:
        """The recipe's reference pictures at their own resolution; of what is held the part that the run sees."""
        held = self.recipe.held
        return [self.view.part(self.fetched(ref)) if ref == held else self.fetched(ref) for ref in self.recipe.images]

    @cached_property
    def fetched(self) -> Callable[[Ref], Image.Image]:
        """`fetch`, a picture that the recipe names as it is, once: what is held is mostly what was started from."""
        return cache(fetch)

    @cached_property
    def _fitted(self) -> Callable[..., Image.Image]:
        """A picture with the proportions of the one that is held, or of the run where none is: of one with others the
        middle, at the held one's size. nearest: by whole pixels, for maps of classes."""
        held = self.recipe.held
        whole = self.size if held is None else held.size

        @cache
        def fitted(ref: Ref, nearest: bool = False) -> Image.Image:
            image = self.fetched(ref)
            same = alike(image.size, whole, 2)
            if image.size == whole or (same and self.view.box is None):
                return image
            if not same:
                size = f"{whole[0]} x {whole[1]}"
                note(f"of a picture of {image.width} x {image.height} the middle is taken, to go with {size}")
            return ImageOps.fit(image, whole, Image.Resampling.NEAREST if nearest else Image.Resampling.LANCZOS)

        return fitted

    @cached_property
    def shaped_mask(self) -> Image.Image | None:
        """The mask that the hold was given, at its own size."""
        return None if self.recipe.hold is None else self.recipe.hold.shaped()

    @cached_property
    def mask(self) -> Image.Image | None:
        """The same as the run sees it (mode L, white = repaint); None where the recipe has none."""
        return None if self.shaped_mask is None else self.view(self.shaped_mask)

    @property
    def original(self) -> Image.Image | None:
        """The picture that is held, or that was started from, as the run sees it."""
        return self.images.get("held") or self.images.get("start")

    @cached_property
    def whole(self) -> Whole | None:
        """The way back to the held picture at its own resolution; None where the run sees all of it as it is."""
        recipe = self.recipe
        held = recipe.held
        if held is None:
            return None
        start = _pictures(recipe.start).get("picture")
        other = None if start is None or start == held else self._fitted(start)
        whole = Whole(self.view, self.fetched(held), other, self.shaped_mask, recipe.composite.pastes)
        return whole if whole.differs else None

    # tensors

    @property
    def like(self) -> Tensor:
        """Zeros in the shape of x: (rows, C, h, w)."""
        space = self.stage.space
        return torch.zeros((self.rows, space.channels, *space.cells(self.size)), device=self.device)

    @cached_property
    def noise(self) -> NoiseSource:
        return self.drawn or self.recipe.noise.source([recipe.seed for recipe in self.recipes])

    def tensor(self, image: Image.Image) -> Tensor:
        """A picture in [-1, 1], (1, 3, H, W)."""
        return to_tensor([image]).to(self.device)

    def mask_tensor(self, mask: Image.Image) -> Tensor:
        """A mask in [0, 1], 1 = repaint, (1, 1, H, W)."""
        return mask_to_tensor(mask).to(self.device)

    def encoded(self, image: Image.Image) -> Tensor:
        """A picture in the stage's space, for every row: (rows, C, h, w)."""
        return self.stage.space.encode(self.tensor(image)).expand(self.rows, -1, -1, -1)

    def cells(self, mask: Image.Image) -> Tensor:
        """A mask of pixels as a mask of cells (1, 1, h, w): a cell is repainted as far as any of its pixels is."""
        pixels, factor = self.mask_tensor(mask), self.stage.space.factor
        return functional.max_pool2d(pixels, factor) if factor > 1 else pixels

    def in_cells(self, pixels: float) -> float:
        """A length in pixels of the held picture, in cells of the run."""
        held, factor = self.recipe.held, self.stage.space.factor
        if held is None:
            return pixels / factor
        left, _, right, _ = self.view.box or (0, 0, held.width, held.height)
        return pixels * self.size[0] / (right - left) / factor

    def masks_of(self, cells: Tensor) -> list[Image.Image]:
        """Masks of cells (rows, 1, h, w) as masks of pixels."""
        grown = functional.interpolate(cells.float(), scale_factor=self.stage.space.factor, mode="nearest")
        return [Image.fromarray(mask) for mask in (grown[:, 0] * 255).round().to(torch.uint8).cpu().numpy()]

    def pictures(self, x: Tensor) -> list[Image.Image]:
        """x decoded; grey where the stage paints nothing."""
        if not self.stage.paints:
            return [Image.new("RGB", self.size, "grey")] * self.rows
        return to_images(self.stage.space.decode(x.float()))

    def pictures_of(self, pictures: Tensor) -> list[Image.Image]:
        """Pictures in [-1, 1] (B, 3, H, W)."""
        return to_images(pictures)

    # times

    def times(self, start: float = 1.0) -> Tensor:
        """The grid of the recipe over [start, 0]."""
        return self.recipe.times(self.recipe.steps, self.schedule, start)

    @property
    def rises(self) -> bool:
        """Whether steps are walked again, behind fresh noise: where the hold resamples or the grid restarts."""
        hold = self.recipe.hold
        return bool(self.recipe.times.rises) or (hold is not None and hold.resample is not None)

    def resampled(self, times: Tensor) -> Tensor:
        """A grid with the jumps of the hold's resampling, if it has any."""
        hold = self.recipe.hold
        return times if hold is None or hold.resample is None else hold.resample(times)

    # conditions

    def told(self, recipes: Sequence[Recipe]) -> Batch:
        """The batch with other recipes in the place of its own."""
        before = self.before if self.again is None else self.again(recipes)
        return replace(self, recipes=recipes, before=before)

    def condition(self, recipes: Sequence[Recipe] | None = None) -> Condition:
        """What the recipes say, or others in their place; their controls too."""
        condition = self.stage.condition(self if recipes is None else self.told(recipes))
        for part in self._steering:
            condition = condition.adding(part.select(torch.zeros(condition.rows, dtype=torch.long)).to(self.device))
        told = self.recipes if recipes is None else recipes
        return told_by_region(self, condition, told) if told[0].regions else condition

    @cached_property
    def _steering(self) -> list[Part]:
        """What the recipe's controls are to one row; they are bound once, however often the condition is asked for."""
        return steering(self.recipe.controls, self)

    def control_map(self, ref: Ref, made: ControlMap | None = None) -> Tensor:
        """A control's map at the run's size, in [-1, 1], (1, 3, H, W): cut as what is held, where it has its size.

        made: the kind of map that is made of the picture, after it was brought to that size; None: it is a map.
        """
        picture = self._viewed(ref).convert("RGB")
        return self.tensor(picture if made is None else made(picture))

    def control_mask(self, ref: Ref) -> Tensor:
        """A control's mask in the same way, in [0, 1], (1, 1, H, W)."""
        return self.mask_tensor(self._viewed(ref).convert("L"))

    def _viewed(self, ref: Ref, nearest: bool = False) -> Image.Image:
        image = self._fitted(ref, nearest)
        return self.view.part(image).resize(self.size, Image.Resampling.NEAREST) if nearest else self.view(image)

    def denoise(self, guidances: Sequence[Guidance | Gradient] = (), **changes: str) -> Bound:
        """The denoiser told what the recipes say, or with other words (prompt=..., negative=..., label=...)."""
        changed = {**changes, "regions": ()} if "prompt" in changes else changes
        told = [replace(recipe, **changed) for recipe in self.recipes] if changes else None
        return bind(Guided(self.stage.denoiser, guidances), self.condition(told))

    @property
    def reads(self) -> bool:
        """Whether words change what is painted, read by the stage or by one before it."""
        return self.stage.capabilities.text or self.again is not None

    def shown(self, shows: str = "") -> Bound:
        """The denoiser, unguided, told that the picture shows this: words, or a class, or what the recipes say."""
        if self.reads:
            return self.denoise(prompt=shows, negative="")
        return self.denoise(label=shows) if shows else self.denoise()

    def captions(self, prompt: str = "") -> list[str]:
        """What each recipe says in the end, or `prompt`, in words without weights."""
        return [plan_of(prompt or recipe.prompt, recipe.steps).caption for recipe in self.recipes]

    def check_single(self, prompts: Iterable[str], what: str) -> None:
        """Raises BadInput, which says `what` can't follow, where a prompt changes over the steps or is several."""
        check_single(prompts, what)

    def null_scale(self, what: str, option: str, *prompts: str) -> float:
        """The scale of the recipe's classifier-free guidance, for what undoes it; BadInput where there is none."""
        scale = next((g.null_scale for g in self.recipe.guidance if g.null_scale is not None), None)
        if scale is None or not self.reads:
            raise BadInput(
                f"{what[0].upper()}{what[1:]} is for words and classifier-free guidance: leave {option} out, or give "
                "both."
            )
        said = (words for recipe in self.recipes for words in (recipe.prompt, recipe.negative, *prompts))
        check_single(said, f"{what} needs words that stand still")
        return float(scale)  # type: ignore[arg-type]

    @property
    def companions(self) -> list[Recipe]:
        """The recipes of the pictures whose attention maps the recipes take; none where they take none."""
        return [
            replace(recipe, prompt=recipe.attention.source, attention=None)
            for recipe in self.recipes
            if recipe.attention is not None and not recipe.attention.neutral
        ]

    @property
    def unweighted(self) -> list[Recipe]:
        """The recipes with the same words, each of weight 1."""
        return [replace(recipe, prompt=unweighted(recipe.prompt)) for recipe in self.recipes]

    # other networks

    def other_stage(self, name: str) -> Stage:
        """The stage of another model, by its name or folder."""
        from sfumato.model.pool import POOL

        stages = POOL.stages(name, self.recipe.engine, self.recipe.precision, self.stage.device)[1]
        return next((stage for stage in stages if stage.paints), stages[0])

    def network(self, name: str, part: str, kind: str = "") -> Any:
        """The network `part` ("classifier", "clip", ...) called `name`: a path, a built-in name, or "" for that in the
        model's own folder; of a folder that has one for each kind of map, that of `kind`."""
        from sfumato.model.networks import network_of

        found = network_of(name, part, self.recipe.model, kind)
        getattr(found, "network", found).to(self.device)  # it is kept for pipes on any device
        return found

    def class_index(self, label: str | int, classifier: Any) -> int | None:
        """The index of a class of a classifier, given by name or index."""
        return Capabilities(False, classifier.names).index(label)


def unweighted(prompt: str) -> str:
    """The prompt with the same words and parts, each of weight 1."""
    return " BREAK ".join(literal(" ".join(text for text, _ in part)) for part in parse(prompt))


def _pictures(element: Any) -> dict[str, Ref]:
    """The kept pictures among an element's fields."""
    if element is None:
        return {}
    values = {field.name: getattr(element, field.name) for field in fields(element)}
    return {name: value for name, value in values.items() if isinstance(value, Ref) and name != "mask"}
