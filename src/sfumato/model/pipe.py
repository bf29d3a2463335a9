"""A model ready to run: stages, and the one way from recipes to pictures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import chain, groupby
from math import lcm
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from sfumato.edit import Crop, Noise
from sfumato.model.result import Result, made
from sfumato.model.run import bind
from sfumato.picture import BadInput, around
from sfumato.recipe import Recipe
from sfumato.recipe.prompt import plan_of
from sfumato.stage import Stage

if TYPE_CHECKING:
    from sfumato.edit import AttentionEdit, Composite, Hold, Refiner, Source, Start

ROWS = 8  # pictures in one batch
SIDE = 4  # of which a recipe's sides are multiples
SHRUNK = 0.75  # of a picture's own size: less, and a part around the mask may be edited instead
NEARER = 1.25  # how much larger that part must be shown than the whole would be


@dataclass(frozen=True)
class Progress:
    """One step of a run: `index` of `total` steps are done.

    done: the pictures that became ready with this step, for whoever saves them as they come; None for most steps. The
    last step carries the `result`, all of them.
    """

    index: int
    total: int
    preview: Callable[[], list[Image.Image]] = field(repr=False)
    result: Result | None = None
    done: Result | None = None


@dataclass(frozen=True)
class Pipe:
    """A model: `pipe("a boat at sunset")`, or `pipe.run(recipes)`, or `for step in pipe.steps(recipes)`.

    A model of classes is told one of `pipe.classes`: `pipe(label="sneaker")`.

    size: the (width, height) that the model was trained at. multiple: each side must be a multiple of it.
    """

    name: str
    stages: tuple[Stage, ...]
    size: tuple[int, int]
    multiple: int
    engine: str = "eager"
    precision: str = "float32"
    folder: Path | None = None

    def __call__(self, prompt: str = "", **options: Any) -> Result:
        """`count` pictures, with seeds seed, seed + 1, ...; the options are those of `recipes`."""
        return self.run(self.recipes(prompt, **options))

    def recipes(
        self,
        prompt: str = "",
        *,
        negative: str = "",
        label: str | int | None = None,
        start: Start | None = None,
        hold: Hold | None = None,
        images: Sequence[Any] = (),
        source: Source | None = None,
        area: Crop | None = None,
        attention: AttentionEdit | None = None,
        guidance: Sequence[Any] | None = None,
        refiner: Refiner | None = None,
        clip_skip: int = 1,
        sampler: Any = None,
        times: Any = None,
        steps: int | None = None,
        seed: int = 0,
        count: int = 1,
        width: int | None = None,
        height: int | None = None,
        composite: Composite | str = "paste",
    ) -> list[Recipe]:
        """`count` recipes, with seeds seed, seed + 1, ...; every argument is the `Recipe` field of the same name.

        Guidance, sampler, times and steps that are None are those that suit the model.
        """
        suits = self.stages[0].suits
        recipe = Recipe(
            prompt=prompt,
            negative=negative,
            label=label,
            model=self.name,
            width=width,
            height=height,
            start=start or Noise(),
            hold=hold,
            images=tuple(images),
            source=source,
            area=area,
            attention=attention,
            guidance=suits.guidance if guidance is None else tuple(guidance),
            refiner=refiner,
            clip_skip=clip_skip,
            sampler=suits.sampler if sampler is None else sampler,
            times=suits.times if times is None else times,
            steps=suits.steps if steps is None else steps,
            composite=composite,  # pyright: ignore[reportArgumentType]
            seed=seed,
            engine=self.engine,  # pyright: ignore[reportArgumentType]
            precision=self.precision,  # pyright: ignore[reportArgumentType]
        )
        return [replace(recipe, seed=seed + i) for i in range(count)]

    @cached_property
    def weights(self) -> str:
        """The hash of the model's weight files, "" for a pipe that was not read from a folder."""
        from sfumato.formats.weights import weights_hash
        from sfumato.zoo.find import here

        folder = self.folder or here(self.name)
        return "" if folder is None else weights_hash(folder)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes that a label may be; empty for a model without classes."""
        return self.stages[0].capabilities.classes

    def run(self, recipes: Recipe | Sequence[Recipe]) -> Result:
        """All steps of `steps`, without stopping."""
        for step in self.steps(recipes):
            if step.result is not None:
                return step.result
        raise BadInput("There is nothing to run: give at least one recipe.")

    def steps(self, asked: str | Recipe | Sequence[Recipe], **options: Any) -> Iterator[Progress]:
        """One `Progress` a step, the last with the result. Stop asking to cancel; nothing is left behind.

        asked: recipes, or a prompt with the options of `recipes`.

        Recipes that differ in seed and words alone run as one batch (at most 8, of as many prompts and chunks), which
        changes no picture: to the bit with the exact engine, by at most 1/255 otherwise.
        """
        asked = self.recipes(asked, **options) if isinstance(asked, str) else asked
        todo = [self.resolve(recipe) for recipe in ([asked] if isinstance(asked, Recipe) else asked)]
        batches = _batches(todo, self.stages[0].chunks)
        runs = [bind(self, batch) for batch in batches]
        total, index = sum(run.steps for run in runs), 0
        results: list[Result] = []
        for batch, run in zip(batches, runs, strict=True):
            began = time.perf_counter()
            last = index + run.steps
            for preview in run.walk():
                index += 1
                if index < last:  # the last step brings the pictures
                    yield Progress(index, total, preview)
            seconds = (time.perf_counter() - began) / len(batch)
            device = self.stages[0].device
            recipes = [
                replace(recipe, made=made(recipe, picture, seconds, self.weights, device))
                for recipe, picture in zip(batch, run.pictures, strict=True)
            ]
            result = Result(list(run.pictures), recipes, list(run.masks) or [None] * len(batch))
            results.append(result)
            if len(results) < len(batches):
                yield Progress(index, total, partial(list, result.images), done=result)
        if results:
            whole = Result(
                *(list(chain(*each)) for each in zip(*((r.images, r.recipes, r.masks) for r in results), strict=True))
            )
            yield Progress(index, total, lambda: whole.images, whole, results[-1])

    def resolve(self, recipe: Recipe) -> Recipe:
        """The recipe with its open fields filled in: the picture's size, the name of its class, and no guidance by
        default where there is nothing to guide towards. `BadInput` if this pipe can't run it."""
        if (recipe.engine, recipe.precision) != (self.engine, self.precision):
            raise BadInput(
                f"The recipe asks for the {recipe.engine} engine in {recipe.precision} and this pipe was loaded as "
                f"{self.engine} in {self.precision}; "
                f"load it with engine={recipe.engine!r}, precision={recipe.precision!r}."
            )
        recipe = self._boxed(replace(recipe, model=self.name))
        width, height = self._size(recipe)
        for side in (width, height):
            if side % self.multiple:
                raise BadInput(
                    f"The size {width} x {height} does not suit this model; "
                    f"each side must be a multiple of {self.multiple}."
                )
        return replace(self.stages[0].capabilities.fitted(recipe), width=width, height=height)

    def _size(self, recipe: Recipe) -> tuple[int, int]:
        if recipe.width and recipe.height:
            return recipe.width, recipe.height
        if recipe.width or recipe.height:
            raise BadInput("A recipe gives both width and height, or neither.")
        if recipe.area is not None and recipe.area.box is not None:
            left, top, right, bottom = recipe.area.box
            return self.fit(right - left, bottom - top)
        picture = getattr(recipe.start, "picture", None) or recipe.held
        return self.size if picture is None else self.fit(picture.width, picture.height)

    def _boxed(self, recipe: Recipe) -> Recipe:
        """The recipe with the box of the part that it edits, if it edits a part."""
        mask = None if recipe.hold is None else recipe.hold.shaped()
        if mask is None or (recipe.area is not None and recipe.area.box is not None):
            return recipe
        if recipe.area is not None:
            size = (recipe.width or self.size[0], recipe.height or self.size[1])
            return replace(recipe, area=replace(recipe.area, box=around(mask, recipe.area.margin, size)))
        if recipe.width or recipe.height:
            return recipe
        return replace(recipe, area=self._enough(mask))

    def _enough(self, mask: Image.Image) -> Crop | None:
        """The part around a mask to edit, where the whole picture would have to shrink far more than that part; None
        where the model can see all of it."""
        whole = max(self.size) / max(mask.size)
        if whole >= SHRUNK:
            return None
        left, top, right, bottom = mask.getbbox() or (0, 0, *mask.size)
        margin = max(Crop().margin, max(right - left, bottom - top) // 2)
        box = around(mask, margin, self.size)
        part = max(self.size) / max(box[2] - box[0], box[3] - box[1])
        return Crop(margin, box) if part > NEARER * whole else None

    def fit(self, width: int, height: int) -> tuple[int, int]:
        """The size at which a picture of width x height is edited: scaled so that its longer side is the model's own
        size, each side rounded to the multiple that the model needs, and at least the 8 pixels of a recipe."""
        scale, multiple = max(self.size) / max(width, height), lcm(self.multiple, SIDE)
        least = -(-8 // multiple) * multiple

        def rounded(side: int) -> int:
            return max(least, round(side * scale / multiple) * multiple)

        return rounded(width), rounded(height)


def _batches(recipes: list[Recipe], chunks: Callable[[Recipe], int]) -> list[list[Recipe]]:
    def but_for_words_and_seed(recipe: Recipe) -> tuple[Recipe, int, int]:
        attention = recipe.attention and recipe.attention.wordless
        wordless = replace(recipe, prompt="", negative="", label=None, attention=attention, seed=0, made=None)
        return wordless, chunks(recipe), len(plan_of(recipe.prompt, recipe.steps).conjuncts)

    groups = (list(group) for _, group in groupby(recipes, key=but_for_words_and_seed))
    return [group[i : i + ROWS] for group in groups for i in range(0, len(group), ROWS)]
