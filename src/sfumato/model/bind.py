"""From the elements of a recipe (values) to the live parts of a run (tensors and callables)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from sfumato import recipe as spec
from sfumato.denoise import bind as bind_condition
from sfumato.edit import NoiseStart, Outside, SDEdit, paste
from sfumato.guide import (
    CFGPlusPlus,
    ClassifierFree,
    DynamicThreshold,
    Gradient,
    Guidance,
    Guided,
    PerturbedAttention,
    StaticThreshold,
)
from sfumato.model.guides import auto_guidance, classifier_guidance, clip_guidance, projected_guidance
from sfumato.model.pixels import mask_to_tensor, to_images, to_tensor
from sfumato.noise import KeyedNoise
from sfumato.picture import fetch
from sfumato.recipe import Recipe
from sfumato.sample import Churn, Sampler, Step, sampler, trajectory
from sfumato.times import grid

if TYPE_CHECKING:
    from sfumato.model.pipe import Pipe, Stage

GUIDANCES: dict[type, Callable[[Any, Stage, Sequence[Recipe]], Guidance | Gradient]] = {
    spec.ClassifierFree: lambda g, *_: ClassifierFree(g.scale, g.interval, g.rescale),
    spec.StaticThreshold: lambda g, *_: StaticThreshold(g.limit),
    spec.DynamicThreshold: lambda g, *_: DynamicThreshold(g.percentile, g.limit),
    spec.ClassifierGuidance: classifier_guidance,
    spec.ClipGuidance: clip_guidance,
    spec.AutoGuidance: auto_guidance,
    spec.CFGPlusPlus: lambda g, *_: CFGPlusPlus(g.scale),
    spec.ProjectedGuidance: projected_guidance,
    spec.PerturbedAttention: lambda g, *_: PerturbedAttention(g.scale, g.layers, g.interval),
}


@dataclass(frozen=True)
class Given:
    """The pictures that a recipe names, at the run's size: what is started from, what is held, and the mask."""

    start: Image.Image | None
    held: Image.Image | None
    mask: Image.Image | None

    @classmethod
    def of(cls, recipe: Recipe, size: tuple[int, int]) -> Given:
        start = _sized(fetch(recipe.start.picture), size) if isinstance(recipe.start, spec.SDEdit) else None
        if recipe.hold is None:
            return cls(start, None, None)
        held = start if recipe.hold.picture is None else _sized(fetch(recipe.hold.picture), size)
        return cls(start, held, _sized(fetch(recipe.hold.mask).convert("L"), size))


@dataclass
class Run:
    """One batch on its way: recipes that differ in seed and words alone."""

    stage: Stage
    recipe: Recipe
    rows: int
    times: Tensor
    walk: Callable[[], Iterator[Step]]
    given: Given
    x: Tensor | None = None

    @property
    def steps(self) -> int:
        return len(self.times) - 1

    def trajectory(self) -> Iterator[Step]:
        """The steps; none at strength 0."""
        if self.steps == 0:
            return
        for step in self.walk():
            self.x = step.x
            yield step

    def preview(self, step: Step) -> Callable[[], list[Image.Image]]:
        """What the pictures will look like: the denoiser's guess of the clean picture, decoded when asked for."""
        x = step.x if step.prediction is None else step.prediction.x0
        return partial(self._pictures, x)

    def finish(self) -> list[Image.Image]:
        """The pictures: decoded (at strength 0 the start's own, which nothing touched), pasted into the held one."""
        given = self.given
        if self.x is not None:
            pictures = self._pictures(self.x)
        elif given.start is not None:
            pictures = [given.start] * self.rows
        else:
            raise ValueError("The run has not been walked: iterate over its trajectory first.")
        if given.mask is None or self.recipe.composite == "none":
            return pictures
        original, mask = np.asarray(given.held), np.asarray(given.mask)
        return [Image.fromarray(paste(original, np.asarray(picture), mask)) for picture in pictures]

    def _pictures(self, x: Tensor) -> list[Image.Image]:
        return to_images(self.stage.space.decode(x.float()))


def bind(pipe: Pipe, recipes: Sequence[Recipe]) -> Run:
    """The run of a batch of resolved recipes that differ in seed and words alone."""
    stage, recipe, rows = pipe.stages[0], recipes[0], len(recipes)
    size = (recipe.width or pipe.size[0], recipe.height or pipe.size[1])
    space, schedule = stage.space, stage.denoiser.schedule

    given = Given.of(recipe, size)
    held = None
    like = torch.zeros(rows, space.channels, size[1] // space.factor, size[0] // space.factor)
    if isinstance(recipe.start, spec.SDEdit) and given.start is not None:
        start = SDEdit(_encoded(space, given.start, rows), recipe.start.strength)
    else:
        start = NoiseStart(like)
    if given.held is not None and given.mask is not None:
        hold = Outside(_cells(mask_to_tensor(given.mask), space.factor))
        held = hold.bind(_encoded(space, given.held, rows), schedule)

    guided = Guided(stage.denoiser, [GUIDANCES[type(g)](g, stage, recipes) for g in recipe.guidance])
    denoise = bind_condition(guided, stage.encode(recipes))
    noise = KeyedNoise([r.seed for r in recipes])
    x, times = start(denoise, lambda t0: grid(recipe.times, recipe.steps, schedule, t0), noise)
    walk = partial(trajectory, denoise, _sampler(recipe.sampler), x, times, noise, held)
    return Run(stage, recipe, rows, times, walk, given)


def _sampler(element: Any) -> Sampler:
    """The sampler of a name, or of an element whose fields are its options."""
    return sampler(element) if isinstance(element, str) else sampler(element.kind, **_options(element))


def _options(element: Any) -> dict[str, Any]:
    values = {field.name: getattr(element, field.name) for field in fields(element) if field.name != "kind"}
    return {
        name: Churn(**_options(value)) if isinstance(value, spec.Churn) else value for name, value in values.items()
    }


def _sized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)


def _encoded(space: Any, image: Image.Image, rows: int) -> Tensor:
    return space.encode(to_tensor([image])).expand(rows, -1, -1, -1)


def _cells(mask: Tensor, factor: int) -> Tensor:
    """A mask of pixels as a mask of cells: a cell is repainted as far as any of its pixels is."""
    return functional.max_pool2d(mask, factor) if factor > 1 else mask
