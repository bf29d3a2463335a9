"""The questions an evaluation asks: captions that state every attribute of a scene, and nothing ambiguous.

Training captions leave parts out and say some things vaguely ("a painting of ..."), so a picture that misses what was
never said would be marked wrong. Here every attribute that the scene has is said, in phrases of the training grammar
that fit one value alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sfumato.data import vignettes
from sfumato.data.vignettes import Scene

NONE = "none"
MEDIUM = {
    "flat": "a flat illustration of {}",
    "oil": "an oil painting of {}",
    "watercolour": "a watercolour painting of {}",
    "pencil sketch": "a pencil sketch of {}",
    "starry night": "a painting of {} in the style of a starry night",
}
LIGHT = {
    "day": "on a sunny day",
    "sunset": "at sunset",
    "night": "at night",
    "rain": "on a rainy day",
    "snow": "on a snowy day",
    "fog": "on a foggy day",
}
PLACE = {
    "sea": "by the sea",
    "mountains": "in the mountains",
    "hills": "in the hills",
    "town": "in a town",
    "room": "in a room",
}
LANDSCAPE = {
    "sea": "a landscape of the sea",
    "mountains": "a landscape of mountains",
    "hills": "a landscape of hills",
    "town": "a landscape with a town",
}
PLACE_OF = {"boat": "on the sea", "vase": "on a table", "bowl": "on a table", "teapot": "on a table"}
WORN = ("jacket", "hat", "scarf", "mask", "glasses", "headset")
ALWAYS = ("subject", "style", "light", "place")


@dataclass(frozen=True)
class Question:
    """A scene, a caption that says all of it, and the attributes that the caption states."""

    scene: Scene
    caption: str
    stated: tuple[str, ...]

    @property
    def wanted(self) -> dict[str, str]:
        """The stated attributes and their values: what the picture must show."""
        attributes = self.scene.attributes
        return {name: attributes[name] for name in self.stated}

    @property
    def absent(self) -> tuple[str, ...]:
        """Attributes that the scene does not have and the caption does not name: what must not be added."""
        return tuple(name for name, value in self.scene.attributes.items() if value == NONE)


def ask(scene: Scene) -> Question:
    """The question about `scene`."""
    attributes = scene.attributes
    subject = _landscape(attributes) if attributes["subject"] == "landscape" else _subject(attributes)
    caption = MEDIUM[attributes["style"]].format(f"{subject} {LIGHT[attributes['light']]}")
    return Question(scene, caption, tuple(name for name, value in attributes.items() if value != NONE))


def questions(count: int, seed: int, split: str) -> list[Question]:
    """The first `count` questions of the world `seed`, of split "seen" or "held-out"."""
    return [ask(vignettes.scene(seed, index, split)) for index in range(count)]  # pyright: ignore[reportArgumentType]


def _landscape(attributes: Mapping[str, str]) -> str:
    return LANDSCAPE[attributes["place"]]


def _subject(attributes: Mapping[str, str]) -> str:
    subject, colour = attributes["subject"], attributes["color"]
    said = _a(subject if colour == NONE else f"{colour} {subject}")
    worn = [_worn(name, attributes[name]) for name in WORN if attributes[name] != NONE]
    if worn:
        said += " wearing " + (worn[0] if len(worn) == 1 else ", ".join(worn[:-1]) + " and " + worn[-1])
    return f"{said} {PLACE_OF.get(subject, PLACE[attributes['place']])}"


def _worn(name: str, value: str) -> str:
    if name == "glasses":
        return "glasses"
    if name == "headset":
        return "a vr headset"
    return _a(f"{value} {'face mask' if name == 'mask' else name}")


def _a(thing: str) -> str:
    return f"{'an' if thing[0] in 'aeio' else 'a'} {thing}"
