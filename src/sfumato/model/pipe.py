"""A model ready to run: stages, and the one way from recipes to pictures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import chain, groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from sfumato.adapt import Adapter
from sfumato.edit import Crop, Noise
from sfumato.emphasis import Emphasis
from sfumato.model.adapted import Attached, adapted
from sfumato.model.batch import Batch
from sfumato.model.chain import Chain, filled, links_of, told_together
from sfumato.model.result import Result, made
from sfumato.model.run import Run, bind
from sfumato.model.sizes import PaintedSizes
from sfumato.noise import Latents
from sfumato.picture import BadInput
from sfumato.recipe import Recipe, StageOptions
from sfumato.recipe.capabilities import Capabilities
from sfumato.recipe.extra_networks import asked_in
from sfumato.recipe.intent import random_seed
from sfumato.recipe.prompt import plan_of
from sfumato.stage import Stage, main_of

if TYPE_CHECKING:
    from torch import Tensor

    from sfumato.control import Control
    from sfumato.edit import AttentionEdit, Composite, Hold, Refiner, Source, Start
    from sfumato.noise import Randomness
    from sfumato.region import Region, Regional

ROWS = 8  # pictures in one batch
ADAPTED = 8  # sets of adapters whose files are kept


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

    stages: a model is mostly one; `sfumato.model.chain` runs several, one after the other. size: the (width, height)
    that the model was trained at. multiple: each side must be a multiple of it.
    """

    name: str
    stages: tuple[Stage, ...]
    size: tuple[int, int]
    multiple: int
    engine: str = "eager"
    precision: str = "float32"
    folders: tuple[Path, ...] = ()
    vae: str = ""
    tile: int = 0
    offload: str = "none"

    def __call__(self, prompt: str | Sequence[str] = "", **options: Any) -> Result:
        """`count` pictures of each prompt, with seeds seed, seed + 1, ...; the options are those of `recipes`."""
        return self.run(self.recipes(prompt, **options))

    def recipes(
        self,
        prompt: str | Sequence[str] = "",
        *,
        negative: str | Sequence[str] = "",
        label: str | int | None = None,
        start: Start | None = None,
        hold: Hold | None = None,
        images: Sequence[Any] = (),
        adapters: Sequence[Adapter] = (),
        source: Source | None = None,
        area: Crop | None = None,
        controls: Sequence[Control] = (),
        attention: AttentionEdit | None = None,
        regions: Sequence[Region] = (),
        regional: Regional | str | None = None,
        layout: Any = None,
        guidance: Sequence[Any] | None = None,
        refiner: Refiner | None = None,
        stages: Sequence[StageOptions] = (),
        clip_skip: int = 1,
        emphasis: Emphasis | str = "mean-restored",
        sampler: Any = None,
        times: Any = None,
        steps: int | None = None,
        seed: int | None = 0,
        count: int = 1,
        width: int | None = None,
        height: int | None = None,
        composite: Composite | str = "paste",
        noise: Randomness | str = "keyed",
        latents: Tensor | None = None,
    ) -> list[Recipe]:
        """`count` recipes, with seeds seed, seed + 1, ...; every argument is the `Recipe` field of the same name.

        Of several prompts there are `count` of the first, then of the second, each with the same seeds; a negative
        prompt is for all of them, or there is one for each. A seed that is None is drawn at random, and the recipes
        say it. Guidance, sampler, times and steps that are None are those that suit the model. Files that a prompt
        names, as <lora:me:0.8>, are adapters too. latents: (pictures, C, h, w), the first noise of each picture instead
        of its seed's.
        """
        told = [asked_in(*each) for each in _told(prompt, negative)]
        if not told:
            return []
        seed = random_seed() if seed is None else seed
        several = {"guidance": guidance or (), "adapters": adapters, "images": images, "controls": controls,
                   "regions": regions, "stages": stages}  # fmt: skip
        for name, value in several.items():
            if isinstance(value, str) or not isinstance(value, Iterable):
                raise BadInput(f"{name} is a {type(value).__name__}: give a list, also of one.")
        suits = self.stage.suits
        said, unsaid, asked = told[0]
        recipe = Recipe(
            prompt=said,
            negative=unsaid,
            label=label,
            model=self.name,
            width=width,
            height=height,
            start=start or Noise(),
            hold=hold,
            images=tuple(images),
            adapters=(*adapters, *asked),
            source=source,
            area=area,
            controls=tuple(controls),
            attention=attention,
            regions=tuple(regions),
            layout=layout,
            regional=regional,  # pyright: ignore[reportArgumentType]
            guidance=suits.guidance if guidance is None else tuple(guidance),
            refiner=refiner,
            stages=tuple(stages),
            clip_skip=clip_skip,
            emphasis=emphasis,  # pyright: ignore[reportArgumentType]
            sampler=suits.sampler if sampler is None else sampler,
            times=suits.times if times is None else times,
            steps=suits.steps if steps is None else steps,
            composite=composite,  # pyright: ignore[reportArgumentType]
            noise=noise,  # pyright: ignore[reportArgumentType]
            seed=seed,
            engine=self.engine,  # pyright: ignore[reportArgumentType]
            precision=self.precision,  # pyright: ignore[reportArgumentType]
            vae=self.vae,
            tile=self.tile,
        )
        recipes = [
            replace(recipe, prompt=said, negative=unsaid, adapters=(*adapters, *asked), seed=seed + i)
            for said, unsaid, asked in told
            for i in range(count)
        ]
        if latents is None:
            return recipes
        if len(latents) != len(recipes):
            raise BadInput(f"There are {len(latents)} latents for {len(recipes)} pictures: give one a picture.")
        return [replace(each, noise=Latents(one, each.noise)) for each, one in zip(recipes, latents, strict=True)]

    @property
    def stage(self) -> Stage:
        """The main stage: the first that paints."""
        return self.stages[main_of(self.stages)]

    @cached_property
    def capabilities(self) -> Capabilities:
        """What a recipe may tell the model."""
        return told_together(self.stages)

    @cached_property
    def weights(self) -> str:
        """The hash of the model's weight files, "" for a pipe that was not read from a folder."""
        from sfumato.formats.weights import joined_hash, weights_hash
        from sfumato.zoo.find import here

        found = self.folders or tuple(filter(None, [here(self.name)]))
        return joined_hash([weights_hash(folder, Path(self.vae) if self.vae else None) for folder in found])

    def attach(self, *adapters: Adapter) -> Attached:
        """Adds adapters to every recipe that this pipe runs, from now until they are detached:

            with pipe.attach(LoRA("me.safetensors") * 0.8): ...

        The recipes of the results say so. Raises BadInput, and attaches nothing, where one does not fit the model.
        """
        self.adapted((*self._attached, *adapters))
        self._attached.extend(adapters)
        return Attached(self, adapters)

    def detach(self, *adapters: Adapter) -> None:
        """Takes adapters off again, in any order; all of them where none is named."""
        for adapter in adapters or tuple(self._attached):
            if adapter in self._attached:
                self._attached.remove(adapter)

    def adapted(self, adapters: Sequence[Adapter]) -> Stage:
        """The main stage with adapters: they act while it runs, and its networks stay as they are."""
        if not adapters:
            return self.stage
        key = tuple(adapters)
        if key not in self._adapted:
            stage = adapted(self.stage, key)
            while len(self._adapted) >= ADAPTED:
                self._adapted.pop(next(iter(self._adapted)))
            self._adapted[key] = stage
        return self._adapted[key]

    @cached_property
    def _attached(self) -> list[Adapter]:
        return []

    @cached_property
    def _adapted(self) -> dict[tuple[Adapter, ...], Stage]:
        return {}

    def with_attached(self, adapters: Sequence[Adapter]) -> tuple[Adapter, ...]:
        """A recipe's adapters, behind those that are attached and not among them."""
        return (*(each for each in self._attached if each not in adapters), *adapters)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes that a label may be; empty for a model without classes."""
        return self.capabilities.classes

    def run(self, recipes: Recipe | Sequence[Recipe]) -> Result:
        """All steps of `steps`, without stopping."""
        for step in self.steps(recipes):
            if step.result is not None:
                return step.result
        raise BadInput("There is nothing to run: give at least one recipe.")

    def steps(self, asked: str | Recipe | Sequence[str | Recipe], **options: Any) -> Iterator[Progress]:
        """One `Progress` a step, the last with the result. Stop asking to cancel; nothing is left behind.

        asked: recipes, or one prompt or several with the options of `recipes`.

        Recipes that differ in seed and words alone run as one batch (at most 8, of as many prompts and chunks), which
        changes no picture: to the bit with the exact engine, by at most 1/255 otherwise.
        """
        recipes = [asked] if isinstance(asked, Recipe) else asked
        if isinstance(recipes, str) or any(isinstance(each, str) for each in recipes):
            recipes = self.recipes(recipes, **options)  # pyright: ignore[reportArgumentType]
        elif options:
            raise BadInput(f"{next(iter(options))} is said of a prompt, and a recipe says it itself: leave it out.")
        todo = [self.resolve(recipe) for recipe in recipes]  # pyright: ignore[reportArgumentType]
        batches = _batches(todo, self._chunks)
        runs = [self._bound(batch) for batch in batches]
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
            device = self.stage.device
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
        if (recipe.vae, recipe.tile) != (self.vae, self.tile):
            raise BadInput(
                "The recipe's autoencoder is another than this pipe's, or works in other tiles; "
                f"load it with vae={recipe.vae!r}, tile={recipe.tile!r}."
            )
        recipe = replace(recipe, model=self.name, adapters=self.with_attached(recipe.adapters))
        return filled(self.stages, self.capabilities.fitted(self._sizes.filled(recipe)))

    def _bound(self, recipes: Sequence[Recipe]) -> Run | Chain:
        """The run of a batch of resolved recipes that differ in seed and words alone."""
        links = links_of(self.stages, self.adapted(recipes[0].adapters), recipes)
        return bind(links[0].batch()) if len(self.stages) == 1 else Chain(links)

    def _chunks(self, recipe: Recipe) -> int:
        others = (stage.chunks(recipe) for stage in self.stages if stage is not self.stage)
        return max((self.adapted(recipe.adapters).chunks(recipe), *others))

    def batch(self, recipes: Sequence[Recipe]) -> Batch:
        """The batch of resolved recipes that differ in seed and words alone, on the main stage as it paints them."""
        links = links_of(self.stages, self.adapted(recipes[0].adapters), recipes)
        return next(link for link in links if link.main).batch()

    def fit(self, width: int, height: int, longer: int | None = None) -> tuple[int, int]:
        """The size at which a picture of width x height is edited: `sfumato.model.sizes`."""
        return self._sizes.fit(width, height, longer)

    @property
    def _sizes(self) -> PaintedSizes:
        return PaintedSizes(self.size, self.multiple)


def _told(prompt: str | Sequence[str], negative: str | Sequence[str]) -> list[tuple[str, str]]:
    """Each prompt and its negative one. Raises BadInput where one is no text, or there are not as many."""
    if isinstance(prompt, Recipe):
        raise BadInput("prompt is a Recipe: run() runs it.")
    prompts: list[Any] = list(prompt) if isinstance(prompt, list | tuple) else [prompt]
    negatives: list[Any] = list(negative) if isinstance(negative, list | tuple) else [negative]
    for name, texts in (("prompt", prompts), ("negative", negatives)):
        if other := [type(text).__name__ for text in texts if not isinstance(text, str)]:
            raise BadInput(f"{name} is a {other[0]}, or has one in it: give a text, or a list of texts.")
    if len(negatives) not in (1, len(prompts)):
        raise BadInput(f"There are {len(negatives)} negative prompts for {len(prompts)} prompts: give one, or as many.")
    return list(zip(prompts, negatives * len(prompts) if len(negatives) == 1 else negatives, strict=True))


def _batches(recipes: list[Recipe], chunks: Callable[[Recipe], int]) -> list[list[Recipe]]:
    def but_for_words_and_seed(recipe: Recipe) -> tuple[Recipe, int, int]:
        attention = recipe.attention and recipe.attention.wordless
        said = recipe.prompt if recipe.regions else ""  # which is compared with what the regions say
        wordless = replace(recipe, prompt=said, negative="", label=None, attention=attention, seed=0, made=None)
        return wordless, chunks(recipe), len(plan_of(recipe.prompt, recipe.steps).conjuncts)

    groups = (list(group) for _, group in groupby(recipes, key=but_for_words_and_seed))
    return [group[i : i + ROWS] for group in groups for i in range(0, len(group), ROWS)]
