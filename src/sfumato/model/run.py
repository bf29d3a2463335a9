"""One batch on its way: from a recipe's values to the parts that act, and step by step to pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import torch
from PIL import Image
from torch import Tensor

from sfumato.denoise import Bound
from sfumato.edit import BoundHold, BoundStart
from sfumato.edit.prompt_to_prompt import LocalBlend
from sfumato.model.batch import Batch
from sfumato.noise import NoiseSource
from sfumato.picture import BadInput
from sfumato.picture.errors import note
from sfumato.sample import Sampler, Step, trajectory
from sfumato.space import refuse_nan

Preview = Callable[[], list[Image.Image]]
Loop = Callable[..., Iterator[Step]]


@dataclass
class Run:
    """`walk` it, then `pictures` are done, and `masks` (one a picture, mode L) say where something inferred them."""

    batch: Batch
    denoise: Bound
    start: BoundStart
    hold: BoundHold
    sampler: Sampler
    loop: Loop = trajectory
    blend: LocalBlend | None = None
    pictures: Sequence[Image.Image] = ()
    masks: Sequence[Image.Image] = ()

    def __post_init__(self) -> None:
        self.x: Tensor | None = None  # what was sampled
        self.masks = self.batch.found

    @cached_property
    def steps(self) -> int:
        """How many steps there are, those of preparing and of the composite among them."""
        return self.calls + self._optimising

    @property
    def calls(self) -> int:
        """How many there are before the composite."""
        return self.start.calls + self.hold.calls + moves(self.batch)

    def walk(self) -> Iterator[Preview]:
        """What the pictures look like so far, once a step: decoded when asked for."""
        yield from self.moving()
        yield from self.composited()

    def moving(self) -> Iterator[Preview]:
        """The same without the composite, for a stage whose pictures another takes over."""
        for seen in self.seen():
            yield self._before if seen is None else partial(self.batch.pictures, seen)

    def seen(self) -> Iterator[Tensor | None]:
        """The same in the stage's space, x0 (B, C, h, w); None where there is nothing yet to see."""
        for part in (self.start, self.hold):
            yield from part.prepare()
        if (cells := self.hold.masks()) is not None:
            self.masks = self.batch.masks_of(cells)
        for step in self._walked():
            self.x = x = refuse_nan(step.x, self.batch.stage.painter, f"at step {step.index + 1} of {step.total}")
            yield x if step.prediction is None else step.prediction.x0
        if self.blend is not None and self.batch.mask is None and self.x is not None:
            height, width = self.x.shape[-2:]
            self.masks = self.batch.masks_of(self.blend.mask((height, width)))

    @property
    def made(self) -> Tensor:
        """What the next stage is shown: pictures (B, 3, H, W) in [-1, 1], or vectors (B, D)."""
        if self.x is None:
            return torch.cat([self.batch.tensor(picture) for picture in self._before()])
        return self.batch.stage.space.decode(self.x.float())

    def _walked(self) -> Iterator[Step]:
        """The sampler's steps; none at strength 0."""
        batch, start, hold = self.batch, self.start, self.hold
        x, times = start(self.denoise, batch.times, batch.noise)
        if len(times) > 1:
            denoise = replace(self.denoise, condition=start.condition(self.denoise.condition))

            def held(x: Tensor, s: Tensor, noise: NoiseSource) -> Tensor:
                return hold(start.after(x, s), s, noise)

            yield from self.loop(denoise, self.sampler, x, batch.resampled(times), start.noise(batch.noise), held)

    def composited(self) -> Iterator[Preview]:
        """The pictures put into the one that is held, once a step of what is optimised."""
        batch, composite, x = self.batch, self.batch.recipe.composite, self.x
        given = [] if batch.mask is None else [batch.mask] * batch.rows
        masks = list(self.masks or given)
        whole = batch.whole if masks else None
        within = masks if whole is None else [mask.point(lambda value: 255 if value else 0) for mask in masks]
        decoded = self._before() if x is None else batch.pictures(x)
        for index, pictures in enumerate(composite.apply(batch, within, x, decoded)):
            self.pictures = pictures
            if index < self._optimising:
                yield partial(list, pictures)
        if whole is not None:
            inferred = self.masks or [None] * batch.rows
            pictures = [None] * batch.rows if x is None else self.pictures
            self.pictures = [whole.around(*pair) for pair in zip(pictures, inferred, strict=True)]

    def _before(self) -> list[Image.Image]:
        """The picture that was started from, or is held."""
        picture = self.batch.images.get("start") or self.batch.images.get("held")
        if picture is None:
            raise ValueError("A run that starts from noise has no picture before its first step.")
        return [picture] * self.batch.rows

    @property
    def _optimising(self) -> int:
        return optimising(self.batch, self.hold.infers or bool(self.batch.found))


def moves(batch: Batch) -> int:
    """How many moves the sampler makes, those that are walked again among them."""
    return len(batch.resampled(batch.times(batch.recipe.start.strength))) - 1


def optimising(batch: Batch, infers: bool) -> int:
    """How many steps the composite takes. infers: whether there will be masks without one that was given."""
    recipe = batch.recipe
    held = recipe.hold is not None and (recipe.hold.mask is not None or infers) and moves(batch) > 0
    return recipe.composite.steps * batch.rows if held else 0


def bind(batch: Batch) -> Run:
    """The run of a batch on one stage."""
    recipe = batch.recipe
    recipe.composite.check(batch)
    if any(each.negative for each in batch.recipes) and not any(part.needs_null for part in recipe.guidance):
        note("the negative prompt is not heard: nothing guides away from it, as guidance above 1 does")
    return _bound(batch)


def _bound(batch: Batch) -> Run:
    start = batch.recipe.start.bind(batch)
    if start.before is not None:  # where what an edit by attention does is done
        start = start.following(_bound(start.before))
        batch = replace(batch, recipes=[replace(each, attention=None) for each in batch.recipes])
    recipe, recipes = batch.recipe, batch.recipes
    hold = (None if recipe.hold is None else recipe.hold.bind(batch, start)) or BoundHold()
    companions = batch.companions
    both = replace(batch.told([*recipes, *companions]), drawn=None) if companions else batch
    guidances = [guidance.bind(both) for guidance in recipe.guidance]
    if not companions or recipe.attention is None:
        denoise = batch.denoise(guidances)
        relayed = denoise if recipe.refiner is None else recipe.refiner.bind(batch, denoise)
        return Run(batch, relayed, start, hold, recipe.sampler)
    if recipe.refiner is not None:
        raise BadInput(f"A refiner can't take over a picture that is edited by {recipe.attention.kind}: leave one out.")
    paired = recipe.attention.bind(batch, guidances, start)
    return Run(batch, paired.denoise, start, hold, recipe.sampler, paired.loop, paired.blend)
