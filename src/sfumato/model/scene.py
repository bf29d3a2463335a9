"""What the live parts of a run are made from: a stage, a batch of recipes, and their pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from sfumato.denoise import Bound, bind
from sfumato.guide import Gradient, Guidance, Guided
from sfumato.model.given import Given
from sfumato.noise import KeyedNoise
from sfumato.recipe import Recipe
from sfumato.schedule import Schedule
from sfumato.space.pixels import mask_to_tensor, to_images, to_tensor
from sfumato.times import grid, jumps

if TYPE_CHECKING:
    from sfumato.space import Space
    from sfumato.stage import Stage


@dataclass(frozen=True)
class Scene:
    """One batch of resolved recipes that differ in seed and words alone; `size` is (width, height) of the run.

    `inferred`: the masks, one a row, that a hold found while it prepared.
    """

    stage: Stage
    recipes: Sequence[Recipe]
    size: tuple[int, int]
    inferred: list[Image.Image] = field(default_factory=list)

    @property
    def recipe(self) -> Recipe:
        """The first, which stands for all where they are alike."""
        return self.recipes[0]

    @property
    def rows(self) -> int:
        return len(self.recipes)

    @property
    def space(self) -> Space:
        return self.stage.space

    @property
    def schedule(self) -> Schedule:
        return self.stage.denoiser.schedule

    @cached_property
    def given(self) -> Given:
        return Given.of(self.recipe, self.size)

    @cached_property
    def noise(self) -> KeyedNoise:
        return KeyedNoise([recipe.seed for recipe in self.recipes])

    @property
    def like(self) -> Tensor:
        """Zeros in the shape of x: (rows, C, h, w)."""
        width, height = self.size
        return torch.zeros(self.rows, self.space.channels, height // self.space.factor, width // self.space.factor)

    def times(self, start: float = 1.0) -> Tensor:
        """The grid of the recipe over [start, 0]."""
        return grid(self.recipe.times, self.recipe.steps, self.schedule, start)

    def resampled(self, times: Tensor) -> Tensor:
        """A grid with the jumps of the hold's resampling, if it has any."""
        element = getattr(self.recipe.hold, "resample", None)
        return times if element is None else jumps(times, element.length, element.repeats)

    def denoise(self, guidances: Sequence[Guidance | Gradient] = (), **words: str) -> Bound:
        """The denoiser told what the recipes say, or other `words` (prompt=..., negative=..., label=...)."""
        told = [replace(recipe, **words) for recipe in self.recipes] if words else self.recipes
        return bind(Guided(self.stage.denoiser, guidances), self.stage.condition(replace(self, recipes=told)))

    def encoded(self, image: Image.Image) -> Tensor:
        """A picture in the stage's space, for every row: (rows, C, h, w)."""
        return self.space.encode(to_tensor([image])).expand(self.rows, -1, -1, -1)

    def cells(self, mask: Image.Image) -> Tensor:
        """A mask of pixels as a mask of cells (1, 1, h, w): a cell is repainted as far as any of its pixels is."""
        pixels, factor = mask_to_tensor(mask), self.space.factor
        return functional.max_pool2d(pixels, factor) if factor > 1 else pixels

    def in_cells(self, pixels: float) -> float:
        """A length in pixels of the held picture, in cells of the run."""
        held, area = self.recipe.held, self.recipe.area
        if held is None:
            return pixels / self.space.factor
        left, _, right, _ = (area.box if area else None) or (0, 0, held.width, held.height)
        return pixels * self.size[0] / (right - left) / self.space.factor

    @property
    def masks(self) -> list[Image.Image]:
        """The mask of every row, given or inferred; none where the recipe has none."""
        return self.inferred or ([] if self.given.mask is None else [self.given.mask] * self.rows)

    def pixels(self, cells: Tensor) -> list[Image.Image]:
        """Masks of cells (rows, 1, h, w) as masks of pixels."""
        grown = functional.interpolate(cells, scale_factor=self.space.factor, mode="nearest")
        return [Image.fromarray(mask) for mask in (grown[:, 0] * 255).round().to(torch.uint8).cpu().numpy()]

    def pictures(self, x: Tensor) -> list[Image.Image]:
        """x decoded."""
        return to_images(self.space.decode(x.float()))
