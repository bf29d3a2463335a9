"""From the elements of a recipe (values) to the live parts of a run (tensors and callables)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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
from sfumato.guide import ClassifierFree, DynamicThreshold, Guidance, Guided, StaticThreshold
from sfumato.model.pixels import mask_to_tensor, to_images, to_tensor
from sfumato.noise import KeyedNoise
from sfumato.picture import fetch
from sfumato.recipe import Recipe
from sfumato.sample import Sampler, Step, sampler, trajectory
from sfumato.times import grid

if TYPE_CHECKING:
    from sfumato.model.pipe import Pipe, Stage

GUIDANCES: dict[type, Callable[[Any], Guidance]] = {
    spec.ClassifierFree: lambda g: ClassifierFree(g.scale, g.interval, g.rescale),
    spec.StaticThreshold: lambda g: StaticThreshold(g.limit),
    spec.DynamicThreshold: lambda g: DynamicThreshold(g.percentile, g.limit),
}


@dataclass
class Run:
    """One batch on its way: recipes that differ in seed and words alone."""

    stage: Stage
    recipe: Recipe
    rows: int
    times: Tensor
    walk: Callable[[], Iterator[Step]]
    picture: Image.Image | None  # what is edited or held, at the run's size
    mask: Image.Image | None
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
        """The pictures: decoded, and pasted into the held picture. At strength 0, the picture itself."""
        if self.x is None:
            assert self.picture is not None
            return [self.picture] * self.rows
        pictures = self._pictures(self.x)
        if self.mask is None or self.recipe.composite == "none":
            return pictures
        original, mask = np.asarray(self.picture), np.asarray(self.mask)
        return [Image.fromarray(paste(original, np.asarray(picture), mask)) for picture in pictures]

    def _pictures(self, x: Tensor) -> list[Image.Image]:
        return to_images(self.stage.space.decode(x.float()))


def bind(pipe: Pipe, recipes: Sequence[Recipe]) -> Run:
    """The run of a batch of resolved recipes that differ in seed and words alone."""
    stage, recipe, rows = pipe.stages[0], recipes[0], len(recipes)
    size = (recipe.width or pipe.size[0], recipe.height or pipe.size[1])
    space, schedule = stage.space, stage.denoiser.schedule

    picture, mask = _given(recipe, size)
    held = None
    like = torch.zeros(rows, space.channels, size[1] // space.factor, size[0] // space.factor)
    if isinstance(recipe.start, spec.SDEdit):
        start = SDEdit(_encoded(space, _sized(fetch(recipe.start.picture), size), rows), recipe.start.strength)
    else:
        start = NoiseStart(like)
    if picture is not None and mask is not None:
        hold = Outside(_cells(mask_to_tensor(mask), space.factor))
        held = hold.bind(_encoded(space, picture, rows), schedule)

    guided = Guided(stage.denoiser, [GUIDANCES[type(g)](g) for g in recipe.guidance])
    denoise = bind_condition(guided, stage.encode(recipes))
    noise = KeyedNoise([r.seed for r in recipes])
    x, times = start(denoise, lambda t0: grid(recipe.times, recipe.steps, schedule, t0), noise)
    walk = partial(trajectory, denoise, _sampler(recipe.sampler), x, times, noise, held)
    return Run(stage, recipe, rows, times, walk, picture, mask)


def _sampler(element: str | spec.DDIM) -> Sampler:
    return sampler(element) if isinstance(element, str) else sampler(element.kind, eta=element.eta)


def _given(recipe: Recipe, size: tuple[int, int]) -> tuple[Image.Image | None, Image.Image | None]:
    """The picture that is held (else the one started from) and the mask, at the run's size."""
    start = recipe.start.picture if isinstance(recipe.start, spec.SDEdit) else None
    held = start if recipe.hold is None else recipe.hold.picture or start
    picture = None if held is None else _sized(fetch(held), size)
    mask = None if recipe.hold is None else _sized(fetch(recipe.hold.mask).convert("L"), size)
    return picture, mask


def _sized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)


def _encoded(space: Any, image: Image.Image, rows: int) -> Tensor:
    return space.encode(to_tensor([image])).expand(rows, -1, -1, -1)


def _cells(mask: Tensor, factor: int) -> Tensor:
    """A mask of pixels as a mask of cells: a cell is repainted as far as any of its pixels is."""
    return functional.max_pool2d(mask, factor) if factor > 1 else mask
