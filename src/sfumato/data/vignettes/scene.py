"""Scenes: what a picture shows, as attributes, before anything is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace as _replace
from typing import Literal

from sfumato.picture import BadInput

from . import captions as grammar
from .dice import Dice
from .vocabulary import (
    ATTRIBUTES,
    COLOURS,
    FIGURES,
    GARMENTS,
    NONE,
    STYLES,
    SUBJECT_PLACES,
    SUBJECT_WEIGHTS,
    SUBJECTS,
    held_out_parts,
)

Split = Literal["seen", "held-out", "any"]
SPLITS: tuple[Split, ...] = ("seen", "held-out", "any")
STYLE_WEIGHTS = (0.2, 0.24, 0.2, 0.18, 0.18)
LIGHT_WEIGHTS = {"day": 0.28, "sunset": 0.18, "night": 0.18, "rain": 0.12, "snow": 0.13, "fog": 0.11}


@dataclass(frozen=True)
class Scene:
    """Everything a picture depends on: the key of its dice and the values of its attributes.

    Each element draws its shape from dice of its own name, so two scenes that differ in one attribute show the same
    picture but for that attribute (`with_attributes`): exact before-and-after pairs for every edit.
    """

    seed: int
    index: int
    values: tuple[tuple[str, str], ...]

    @property
    def attributes(self) -> dict[str, str]:
        return dict(self.values)

    def __getitem__(self, attribute: str) -> str:
        return dict(self.values)[attribute]

    def dice(self, name: str) -> Dice:
        """The random stream of the element `name` of this scene."""
        return Dice(self.seed, self.index, name)

    @property
    def caption(self) -> str:
        return self.captions[0]

    @property
    def captions(self) -> tuple[str, ...]:
        """Several paraphrases; the first is the scene's own caption."""
        return grammar.captions(self.attributes, self.dice("caption"))

    def with_attributes(self, **values: str) -> Scene:
        """The same scene with other attribute values; BadInput for values that the world doesn't know or can't join."""
        attributes = self.attributes | values
        check(attributes)
        return _replace(self, values=tuple(attributes.items()))


def check(attributes: Mapping[str, str]) -> None:
    """BadInput unless `attributes` has every attribute, with values that can go together."""
    for name, value in attributes.items():
        if name not in ATTRIBUTES:
            raise BadInput(f"no attribute {name!r}: choose from {', '.join(ATTRIBUTES)}")
        if value not in ATTRIBUTES[name]:
            raise BadInput(f"{name} can't be {value!r}: choose from {', '.join(ATTRIBUTES[name])}")
    if missing := [name for name in ATTRIBUTES if name not in attributes]:
        raise BadInput(f"a scene needs every attribute, and {', '.join(missing)} is missing")
    subject, place = attributes["subject"], attributes["place"]
    if place not in SUBJECT_PLACES[subject]:
        raise BadInput(f"a {subject} can't stand in place {place!r}: choose from {', '.join(SUBJECT_PLACES[subject])}")
    coloured = subject not in (*FIGURES, "landscape")
    if coloured != (attributes["color"] != NONE):
        raise BadInput(f"subject {subject!r} {'needs a' if coloured else 'has no'} color of its own")
    worn = [name for name in (*GARMENTS, "glasses", "headset") if attributes[name] != NONE]
    if worn and subject not in FIGURES:
        raise BadInput(f"only a woman or a man can wear {worn[0]}, not the subject {subject!r}")
    if attributes["glasses"] != NONE and attributes["headset"] != NONE:
        raise BadInput("glasses and headset can't be worn together: set one of them to 'none'")


def scene(seed: int, index: int, split: Split = "seen") -> Scene:
    """Scene number `index` of the world `seed`: a pure function of its arguments.

    `split` "seen" never shows a held-out combination, "held-out" always shows at least one, "any" is unconstrained.
    BadInput for another split or a negative seed or index.
    """
    if split not in SPLITS:
        raise BadInput(f"no split {split!r}: choose from {', '.join(SPLITS)}")
    if seed < 0 or index < 0:
        raise BadInput(f"seed and index must be 0 or more, not {seed} and {index}")
    dice = Dice(seed, index, "scene")
    while True:
        attributes = _attributes(dice)
        if split == "any" or held_out(attributes) == (split == "held-out"):
            return Scene(seed, index, tuple(attributes.items()))


def held_out(scene_or_attributes: Scene | Mapping[str, str]) -> bool:
    """Whether it shows a combination that training never sees (`vocabulary.held_out_parts` says which)."""
    attributes = scene_or_attributes.attributes if isinstance(scene_or_attributes, Scene) else scene_or_attributes
    return bool(held_out_parts(attributes))


def _attributes(dice: Dice) -> dict[str, str]:
    subject = dice.weighted(SUBJECTS, SUBJECT_WEIGHTS)
    values = dict.fromkeys(ATTRIBUTES, NONE)
    values["subject"] = subject
    values["style"] = dice.weighted(STYLES, STYLE_WEIGHTS)
    values["light"] = dice.weighted(tuple(LIGHT_WEIGHTS), tuple(LIGHT_WEIGHTS.values()))
    values["place"] = dice.choose(SUBJECT_PLACES[subject])
    if subject in FIGURES:
        worn = _accessories(dice, dice.weighted((0, 1, 2, 3), (0.18, 0.4, 0.3, 0.12)))
        if dice.chance(0.8):
            worn.append("jacket")
        for thing in worn:
            values[thing] = dice.choose(tuple(COLOURS)) if thing in GARMENTS else "yes"
    elif subject != "landscape":
        values["color"] = dice.choose(tuple(COLOURS))
    return values


def _accessories(dice: Dice, count: int) -> list[str]:
    """`count` different accessories; a headset leaves no room for glasses."""
    weights = {"hat": 0.3, "scarf": 0.25, "glasses": 0.2, "mask": 0.14, "headset": 0.11}
    worn: list[str] = []
    for _ in range(count):
        worn.append(dice.weighted(tuple(weights), tuple(weights.values())))
        for taken in {"headset": ("headset", "glasses"), "glasses": ("headset", "glasses")}.get(worn[-1], worn[-1:]):
            weights.pop(taken)
    return worn
