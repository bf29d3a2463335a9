"""From the elements of a recipe (values) to the live parts of a run (tensors and callables)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from PIL import Image

from sfumato import recipe as spec
from sfumato.denoise import Bound
from sfumato.edit import EditFriendly, Inferred, NullInverted, Preparing, Start
from sfumato.edit.hold import Held, one_after_another
from sfumato.guide import (
    CFGPlusPlus,
    ClassifierFree,
    DynamicThreshold,
    Gradient,
    Guidance,
    PerturbedAttention,
    StaticThreshold,
)
from sfumato.model.attention import Loop, companions, paired
from sfumato.model.composites import Composite, composite
from sfumato.model.edits import HOLDS, STARTS
from sfumato.model.guides import auto_guidance, classifier_guidance, clip_guidance, projected_guidance
from sfumato.model.scene import Scene
from sfumato.recipe import Recipe
from sfumato.sample import Churn, Sampler, Step, sampler, trajectory

if TYPE_CHECKING:
    from sfumato.model.pipe import Pipe
    from sfumato.stage import Stage

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


Preview = Callable[[], list[Image.Image]]


@dataclass
class Run:
    """One batch on its way: `walk` it, then `pictures` are done."""

    scene: Scene
    denoise: Bound
    start: Start
    hold: Held | None
    composite: Composite
    loop: Loop = trajectory
    pictures: Sequence[Image.Image] = ()

    @property
    def steps(self) -> int:
        """How many steps there are, those of preparing and of the composite among them."""
        return sum(part.calls for part in self._preparing()) + self._steps + self._optimising

    def walk(self) -> Iterator[Preview]:
        """What the pictures look like so far, once a step: decoded when asked for."""
        for part in self._preparing():
            for _ in part.prepare():
                yield self._given
        if isinstance(self.hold, Inferred) and self.hold.mask is not None:
            self.scene.inferred[:] = self.scene.pixels(self.hold.mask)
        x = None
        for step in self._moves():
            x = step.x
            yield partial(self.scene.pictures, x if step.prediction is None else step.prediction.x0)
        decoded = self._given() if x is None else self.scene.pictures(x)
        for index, pictures in enumerate(self.composite.apply(self.scene, x, decoded)):
            self.pictures = pictures
            if index < self._optimising:
                yield partial(list, pictures)
        whole = self.scene.given.whole
        if whole is not None:
            self.pictures = [whole.around(None if x is None else picture) for picture in self.pictures]

    def _moves(self) -> Iterator[Step]:
        """The sampler's steps; none at strength 0."""
        scene = self.scene
        x, times = self.start(self.denoise, scene.times, scene.noise)
        if len(times) > 1:
            times, denoise, noise, hold = scene.resampled(times), self.denoise, scene.noise, self.hold
            if isinstance(self.start, NullInverted):
                denoise = replace(denoise, condition=self.start.told(denoise.condition))
            if isinstance(self.start, EditFriendly):
                noise, hold = self.start.noise, one_after_another(self.start.hold, hold)
            yield from self.loop(denoise, _sampler(scene.recipe.sampler), x, times, noise, hold)

    def _given(self) -> list[Image.Image]:
        """The picture that was started from, or is held."""
        start = self.scene.given.start or self.scene.given.held
        if start is None:
            raise ValueError("A run that starts from noise has no picture before its first step.")
        return [start] * self.scene.rows

    @property
    def _steps(self) -> int:
        times = self.scene.times(getattr(self.scene.recipe.start, "strength", 1.0))
        return len(self.scene.resampled(times)) - 1

    @property
    def _optimising(self) -> int:
        held = self._steps > 0 and (self.scene.given.mask is not None or isinstance(self.hold, Inferred))
        return self.composite.steps * self.scene.rows if held else 0

    def _preparing(self) -> list[Preparing]:
        return [part for part in (self.start, self.hold) if isinstance(part, Preparing)]


def bind(pipe: Pipe, recipes: Sequence[Recipe]) -> Run:
    """The run of a batch of resolved recipes that differ in seed and words alone."""
    stage, recipe = pipe.stages[0], recipes[0]
    scene = Scene(stage, recipes, (recipe.width or pipe.size[0], recipe.height or pipe.size[1]))
    start = STARTS[type(recipe.start)](recipe.start, scene)
    hold = None if recipe.hold is None else HOLDS[type(recipe.hold)](recipe.hold, scene, start)
    beside = companions(recipes)
    guidances = [GUIDANCES[type(g)](g, stage, [*recipes, *beside]) for g in recipe.guidance]
    denoise, loop = paired(scene, guidances, start) if beside else (scene.denoise(guidances), trajectory)
    return Run(scene, denoise, start, hold, composite(scene), loop)


def _sampler(element: Any) -> Sampler:
    """The sampler of a name, or of an element whose fields are its options."""
    return sampler(element) if isinstance(element, str) else sampler(element.kind, **_options(element))


def _options(element: Any) -> dict[str, Any]:
    values = {field.name: getattr(element, field.name) for field in fields(element) if field.name != "kind"}
    return {
        name: Churn(**_options(value)) if isinstance(value, spec.Churn) else value for name, value in values.items()
    }
