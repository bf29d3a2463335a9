"""What a model can be told: words, one of its classes, a picture, or nothing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from sfumato.control import Control
from sfumato.guide import DEFAULT as DEFAULT_GUIDANCE
from sfumato.guide import Distilled, Guidance, PerturbedAttention
from sfumato.picture.errors import BadInput, printable
from sfumato.recipe.prompt import plan_of
from sfumato.region import PredictionMixing, Regional, RegionalAttention, SpatioTextual
from sfumato.sample import DEFAULT_SAMPLER, Sampler
from sfumato.times import DEFAULT_GRID, TimeGrid

if TYPE_CHECKING:
    from sfumato.recipe import Recipe

SHOWN = 20  # names of classes in one sentence


@dataclass(frozen=True)
class Suits:
    """What suits a model where nothing else is said: the faces fill it into the recipes that they make.

    `inverted`: how far an inverted picture that is to become another goes, a time. Stable Diffusion's 0.8 is as noisy
    (sigma / alpha = 5.2) as 0.88 of a cosine schedule.
    """

    steps: int = 20
    guidance: tuple[Guidance, ...] = DEFAULT_GUIDANCE
    sampler: Sampler = DEFAULT_SAMPLER
    times: TimeGrid = DEFAULT_GRID
    inverted: float = 0.8

    @property
    def scale(self) -> float:
        """The first scale of the guidance: 1, which is off, where it has none."""
        return next((each.scale for each in self.guidance if hasattr(each, "scale")), 1.0)  # type: ignore[attr-defined]

    def scaled(self, scale: float) -> tuple[Guidance, ...]:
        """The guidance, the first of its scales this one; classifier-free guidance where it has none."""
        first = next((i for i, each in enumerate(self.guidance) if hasattr(each, "scale")), None)
        if first is None:
            return (*(replace(each, scale=scale) for each in DEFAULT_GUIDANCE), *self.guidance)
        return tuple(replace(each, scale=scale) if i == first else each for i, each in enumerate(self.guidance))


@dataclass(frozen=True)
class Capabilities:
    """`text`: the model reads prompts. `classes`: the names of its classes, by index ("0", "1", ... where they have
    none). `none`: the index that means "no class"; None where the model was trained without one.
    `tasks`: what a model of pictures to pictures does with the picture that it is shown. `inpaints`: it is shown the
    mask and what is held outside it, so that nothing need be put back after its moves.
    `references`: how many pictures it looks at while it paints. `distilled`: it is told the scale of a guidance that
    was distilled into it. `controls`: what it takes from controls ("residuals", ...). `joint`: it attends to words and
    picture at once, so that its attention can be neither directed nor watched. `layout`: which layouts it was trained
    on, "scene" (a map of classes, in the colours of the `palette`) or "spatio-textual" (words where they hold).
    `suits`: what suits it.

    `a | b` is what a model can be told that has the encoders of both.
    """

    text: bool = False
    classes: tuple[str, ...] = ()
    none: int | None = None
    tasks: tuple[str, ...] = ()
    inpaints: bool = False
    references: int = 0
    distilled: bool = False
    controls: tuple[str, ...] = ()
    layout: str = ""
    palette: tuple[tuple[str, tuple[int, int, int]], ...] = ()
    joint: bool = False
    suits: Suits = field(default_factory=Suits)

    def __or__(self, other: Capabilities) -> Capabilities:
        classes = self if self.classes else other
        return Capabilities(
            self.text or other.text,
            classes.classes,
            classes.none,
            self.tasks or other.tasks,
            self.inpaints or other.inpaints,
            max(self.references, other.references),
            self.distilled or other.distilled,
            self.controls or other.controls,
            self.layout or other.layout,
            self.palette or other.palette,
            self.joint or other.joint,
            other.suits if self.suits == Suits() else self.suits,
        )

    def fitted(self, recipe: Recipe) -> Recipe:
        """The recipe as this model takes it: its label by name; without the default guidance where there is nothing
        to guide towards.

        Raises BadInput where the recipe says what the model can't be told, weighs words beyond measure, leaves out the
        label that it needs, or asks by name for a guidance that has nothing to guide towards.
        """
        if (before := recipe.start.before(recipe)) is not None:
            self.fitted(before)
        plan_of(recipe.prompt, recipe.steps)
        plan_of(recipe.negative, recipe.steps, negative=True)
        if not self.text and recipe.clip_skip > 1:
            raise BadInput(
                f"The model {recipe.model} reads no text, of which clip_skip leaves out layers: leave it at 1."
            )
        if not self.text and (recipe.prompt or recipe.negative):
            instead = f"give a label instead, {self._some('')}" if self.classes else "leave the prompt out"
            raise BadInput(f"The model {recipe.model} reads no text: {instead}.")
        if not self.text and recipe.attention is not None:
            raise BadInput(
                f"The model {recipe.model} reads no text, which {recipe.attention.kind} needs: leave it out."
            )
        if recipe.label is not None and not self.classes:
            instead = "give a prompt instead" if self.text else "leave the label out"
            raise BadInput(f"The model {recipe.model} knows no classes: {instead}.")
        if recipe.label is None and self.classes and self.none is None:
            raise BadInput(f"The model {recipe.model} needs a label, {self._some('')}.")
        self._check_attention(recipe)
        self._check_source(recipe)
        if recipe.layout is not None and self.layout != "scene":
            instead = "give it regions instead" if self.layout else "leave the layout out"
            raise BadInput(f"The model {recipe.model} was not trained on maps of classes: {instead}.")
        for control in recipe.controls:
            if control.takes not in self.controls:
                kinds = [kind for kind, made in Control.registry.classes.items() if made.takes in self.controls]
                obeys = f"it obeys {', '.join(kinds)}" if kinds else "leave the controls out"
                raise BadInput(f"The model {recipe.model} obeys no {control.kind}: {obeys}.")
        if len(recipe.images) > self.references:
            looks = f"at most {self.references}" if self.references else "none: start from it instead"
            raise BadInput(
                f"The model {recipe.model} is shown {len(recipe.images)} reference picture"
                f"{'s' * (len(recipe.images) > 1)} and looks at {looks}."
            )
        label, guidance, regional = self._named(recipe.label), self._guidance(recipe), self._regional(recipe)
        return replace(recipe, label=label, guidance=guidance, regional=regional)

    def index(self, label: str | int | None) -> int | None:
        """The network's index of a class, given by name (in any case) or by index; `none` for None."""
        if label is None:
            return self.none
        if not self.classes:
            raise BadInput("This model knows no classes: leave the label out.")
        folded = [name.casefold() for name in self.classes]
        if isinstance(label, str) and label in self.classes:
            return self.classes.index(label)
        if isinstance(label, str) and folded.count(label.casefold()) == 1:
            return folded.index(label.casefold())
        if (isinstance(label, int) or label.isdecimal()) and int(label) < len(self.classes):
            return int(label)
        last = len(self.classes) - 1
        raise BadInput(f"{_shown(label)} is no class of this model: give {self._some(str(label))}, or 0 to {last}.")

    def told(self) -> str:
        """In a few words, for lists: "words", "10 classes" or "nothing"."""
        kinds = {
            "words": self.text,
            f"{len(self.classes)} classes": bool(self.classes),
            f"a picture to {' or '.join(self.tasks)}": bool(self.tasks),
            f"a map of {len(self.palette)} classes": self.layout == "scene",
            "words where they hold": self.layout == "spatio-textual",
            f"{self.references} reference picture{'s' * (self.references > 1)}": self.references > 0,
        }
        return " and ".join(kind for kind, there in kinds.items() if there) or "nothing"

    def _named(self, label: str | int | None) -> str | int | None:
        if label is None:
            return None
        index = self.index(label)
        assert index is not None
        name = self.classes[index]
        return name if self.classes.count(name) == 1 else index

    def _check_attention(self, recipe: Recipe) -> None:
        directs = [g.kind for g in recipe.guidance if isinstance(g, PerturbedAttention)]
        if recipe.attention is not None:
            directs.append(recipe.attention.kind)
        if self.joint and directs:
            raise BadInput(
                f"The model {recipe.model} attends to words and picture at once, and its attention can't be directed: "
                f"leave {directs[-1]} out."
            )

    def _regional(self, recipe: Recipe) -> Regional | None:
        """How the recipe's regions are painted: by attention where this model's can be directed, unless it is said."""
        for region in recipe.regions:
            plan_of(region.prompt, recipe.steps)
        if recipe.regions and not self.text:
            raise BadInput(f"The model {recipe.model} reads no text, which regions hold: leave them out.")
        if recipe.regions and recipe.attention is not None:
            raise BadInput(
                f"{recipe.attention.kind} takes attention from a picture of one prompt, and regions have prompts of "
                "their own: leave one of the two out."
            )
        if not recipe.regions:
            return None
        learned = self.layout == "spatio-textual"
        if isinstance(recipe.regional, SpatioTextual) and not learned:
            raise BadInput(
                f"The model {recipe.model} was not trained on maps of words: give another regional method, or nothing."
            )
        if recipe.regional is None and learned:
            return SpatioTextual()
        if self.joint and isinstance(recipe.regional, RegionalAttention):
            raise BadInput(
                f"The model {recipe.model} attends to words and picture at once, and its attention can't be divided "
                "into regions: give regional='mixing', or nothing."
            )
        return recipe.regional or (PredictionMixing() if self.joint else RegionalAttention())

    def _check_source(self, recipe: Recipe) -> None:
        source = recipe.source
        if source is None and self.tasks:
            raise BadInput(f"The model {recipe.model} mends a picture: say which and how, {' or '.join(self.tasks)}.")
        if source is not None and source.task not in self.tasks:
            does = f"it can {' or '.join(self.tasks)}" if self.tasks else "it is shown none: start from it instead"
            raise BadInput(f"The model {recipe.model} can't {source.task} a picture: {does}.")

    def _guidance(self, recipe: Recipe) -> tuple:
        if not self.distilled and (told := next((g for g in recipe.guidance if isinstance(g, Distilled)), None)):
            raise BadInput(f"No guidance was distilled into {recipe.model}: leave {told.kind} out, or guide otherwise.")
        if self.text or self.references or (recipe.label is not None and self.none is not None):
            return recipe.guidance
        kept = tuple(part for part in recipe.guidance if part not in DEFAULT_GUIDANCE)
        for part in (part for part in kept if part.needs_null):
            given = "no label is given" if self.none is not None else "this model has no unconditional side"
            raise BadInput(f"The guidance {part.kind} has nothing to guide by, for {given}: leave it out.")
        return kept

    def _some(self, near: str) -> str:
        """The names of the classes, those like `near` first."""

        def likeness(name: str) -> float:
            return SequenceMatcher(None, near.casefold(), name.casefold()).ratio()

        names = sorted(self.classes, key=likeness, reverse=True) if near else list(self.classes)
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        return f"one of {', '.join(names[:SHOWN])}{more}"


WORDS = Capabilities(text=True)


def _shown(label: str | int) -> str:
    return printable(repr(label), 60)
