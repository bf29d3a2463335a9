"""A batch on its way through the stages of a model, one after the other: a prior and a decoder, or a cascade.

The first stage that paints is the main one: what a recipe says of starts, guidance, sampler and steps is its. What it
has made is shown to the encoders of the next (`Batch.before`), as pictures or as vectors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from math import lcm, prod
from operator import or_

import torch
from PIL import Image
from torch import Tensor

from sfumato.edit import Inferred, Noise, Paste, SDEdit
from sfumato.emphasis import MeanRestored
from sfumato.model.batch import Batch
from sfumato.model.run import Preview, Run, bind, moves, optimising
from sfumato.noise import NoiseSource
from sfumato.picture import BadInput
from sfumato.recipe import Recipe, StageOptions
from sfumato.recipe.capabilities import Capabilities, Suits
from sfumato.stage import Stage, main_of


def painted_size(stages: Sequence[Stage]) -> tuple[tuple[int, int], int]:
    """The (width, height) that the last stage paints where the main one has its own size, and what each side must be a
    multiple of, so that every stage can paint its part."""
    main = main_of(stages)
    width, height = stages[main].size
    scale = _scale(stages, main)
    multiples = [stage.multiple * _scale(stages, n) for n, stage in enumerate(stages) if stage.paints]
    return (width * scale, height * scale), lcm(*multiples)


def told_together(stages: Sequence[Stage]) -> Capabilities:
    """What the stages can be told together: what the main one can, and words where any stage reads some."""
    main = stages[main_of(stages)].capabilities
    text = reduce(or_, (stage.capabilities.text for stage in stages))
    return replace(main, text=text, joint=main.joint or (text and not main.text))


def filled(stages: Sequence[Stage], recipe: Recipe) -> Recipe:
    """The recipe with what its other stages are to do written out. Raises BadInput where one can't."""
    names = [stage.name for stage in stages]
    own = names[main_of(stages)]
    for each in recipe.stages:
        if each.stage not in names or each.stage == own:
            others = [name for name in names if name != own]
            accepted = f"accepted are {', '.join(others)}" if others else "this model is one stage: leave stages out"
            why = ", whose steps and guidance are the recipe's own" if each.stage == own else ""
            raise BadInput(f"The recipe speaks of the stage {each.stage!r}{why}: {accepted}.")
    written = {each.stage: each for each in recipe.stages}
    if len(written) < len(recipe.stages):
        raise BadInput("The recipe speaks of a stage twice: say all of it in one StageOptions.")
    others = [stage for stage in _acting(stages, recipe) if stage.name != own]
    options = tuple(
        _fitting(written.get(stage.name, StageOptions(stage.name)).filled(stage.suits), stage, recipe)
        for stage in others
    )
    return replace(recipe, stages=options)


def _fitting(options: StageOptions, stage: Stage, recipe: Recipe) -> StageOptions:
    """The options as the stage takes them: without a guidance where there is nothing to guide towards."""
    told = _told(stage, recipe, options.over(stage.suits))
    looks = replace(stage.capabilities, references=0)  # it is shown what the stage before has made
    return replace(options, guidance=looks.fitted(told).guidance)


@dataclass(frozen=True)
class Link:
    """One stage of a batch's way: what it is told, and the (width, height) that it paints at."""

    stage: Stage
    recipes: Sequence[Recipe]
    size: tuple[int, int]
    main: bool
    last: bool

    def batch(
        self, before: Tensor | None = None, found: Sequence[Image.Image] = (), noise: NoiseSource | None = None
    ) -> Batch:
        recipes, held = self.recipes, self.recipes[0].held
        masks = [mask.resize(self.size, Image.Resampling.NEAREST) for mask in found]
        if found and not self.main and recipes[0].hold is None and held is not None:
            recipes = [replace(each, hold=Inferred(picture=held)) for each in recipes]
        return Batch(self.stage.at(self.size), recipes, self.size, before, drawn=noise, found=masks)


class Chain:
    """The run of a batch of resolved recipes through several stages: it is walked as a `Run` is."""

    def __init__(self, links: Sequence[Link]) -> None:
        recipes = links[-1].recipes
        self.links, self.pictures, self.masks = links, (), ()
        self._noise = recipes[0].noise.source([recipe.seed for recipe in recipes])
        self._first = bind(self._batch(links[0]))
        self.steps = self._first.steps + sum(self._counted(link) for link in links[1:])

    def walk(self) -> Iterator[Preview]:
        """What the pictures look like so far, once a step."""
        run = self._first
        yield from run.moving()
        for link in self.links[1:]:
            run = bind(self._batch(link, run.made, run.masks))
            yield from run.moving()
        yield from run.composited()
        self.pictures, self.masks = run.pictures, run.masks

    def _batch(self, link: Link, before: Tensor | None = None, found: Sequence[Image.Image] = ()) -> Batch:
        batch = link.batch(before, found, self._noise if link.main else self._noise.at(link.stage.name))
        return replace(batch, again=self._made_of) if link.main and before is not None else batch

    def _made_of(self, recipes: Sequence[Recipe]) -> Tensor:
        """What the stages before the main one make of other recipes, as of the words that a picture shows."""
        before = None
        for link in self.links:
            if link.main:
                break
            words = [{name: getattr(each, name) for name in ("prompt", "negative", "seed")} for each in recipes]
            told = [replace(link.recipes[0], **each) for each in words]
            noise = told[0].noise.source([recipe.seed for recipe in told]).at(link.stage.name)
            run = bind(Batch(link.stage.at(link.size), told, link.size, before, drawn=noise))
            for _ in run.moving():
                pass
            before = run.made
        assert before is not None
        return before

    def _counted(self, link: Link) -> int:
        """The steps of a stage that is not the first. A start or a hold that walks before the first step does so in the
        main stage alone, which is asked on vectors of zeros."""
        if link.main:
            zeros = torch.zeros(len(link.recipes), self.links[0].stage.space.channels, device=link.stage.device)
            batch = replace(self._batch(link, zeros), again=lambda recipes: zeros[:1].expand(len(recipes), -1))
            run: Run = bind(batch)
            return run.steps if link.last else run.steps - optimising(run.batch, run.hold.infers)
        batch = self._batch(link)
        hold = batch.recipe.hold
        return moves(batch) + (optimising(batch, hold is not None and hold.infers) if link.last else 0)


def links_of(stages: Sequence[Stage], main: Stage, recipes: Sequence[Recipe]) -> list[Link]:
    """The way of a batch of resolved recipes. main: the main stage as it paints them, with their adapters."""
    own, recipe = main_of(stages), recipes[0]
    width, height = recipe.width or 0, recipe.height or 0
    links = []
    acting = _acting(stages, recipe)
    for n, stage in enumerate(stages):
        if stage not in acting:
            continue
        scale = _scale(stages, n)
        size = (width // scale, height // scale)
        options = next((each for each in recipe.stages if each.stage == stage.name), StageOptions(stage.name))
        told = recipes if n == own else [_told(stage, each, options.over(stage.suits)) for each in recipes]
        if scale > 1:
            told = [replace(each, width=size[0], height=size[1]) for each in told]
        if stage is not stages[-1]:
            told = [replace(each, composite=Paste()) for each in told]
        links.append(Link(main if n == own else stage, told, size, n == own, stage is stages[-1]))
    return links


def _told(stage: Stage, recipe: Recipe, options: Suits) -> Recipe:
    """What a stage that is not the main one is told, to be walked by the `options`: the words where it reads some;
    where it paints, what is held, and what noise is put on, as the main one is."""
    held, text, start, hold = recipe.held, stage.capabilities.text, recipe.start, recipe.hold
    restarts = stage.paints and (start.noises or start.strength == 0)
    picture = getattr(start, "picture", None) or held
    return replace(
        recipe,
        prompt=recipe.prompt if text else "",
        negative=recipe.negative if text else "",
        label=recipe.label if stage.capabilities.classes else None,
        start=SDEdit(picture, start.strength) if restarts and picture is not None else Noise(),
        hold=replace(hold, picture=held) if hold is not None and stage.paints else None,  # type: ignore[call-arg]
        area=recipe.area if stage.paints and held is not None else None,
        composite=recipe.composite if stage.paints else Paste(),
        images=(),
        controls=(),
        adapters=(),
        source=None,
        attention=None,
        regions=(),
        regional=None,
        layout=None,
        refiner=None,
        clip_skip=recipe.clip_skip if text else 1,
        emphasis=recipe.emphasis if text else MeanRestored(),
        guidance=options.guidance,
        sampler=options.sampler,
        times=options.times,
        steps=options.steps,
        stages=(),
    )


def _acting(stages: Sequence[Stage], recipe: Recipe) -> list[Stage]:
    """The stages that a recipe goes through: none that makes vectors where the main one is shown pictures instead."""
    shown = bool(recipe.images) and stages[main_of(stages)].capabilities.references > 0
    return [stage for stage in stages if stage.paints or not shown]


def _scale(stages: Sequence[Stage], n: int) -> int:
    """How many times larger the last stage paints than the n-th."""
    return prod(stage.scale for stage in stages[n + 1 :])
