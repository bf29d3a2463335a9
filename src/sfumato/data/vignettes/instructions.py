"""Instructions and what they ask for: pairs of scenes that differ in one attribute, and so their pictures.

`edit(seed, index)` takes scene `index` of the world `seed`, changes one attribute of it and says so in words: "make the
hat red", "add a green scarf", "remove the glasses", "at night", "as a pencil sketch". Everything is a pure function of
(seed, index). Each element of a scene throws dice of its own, so all else is drawn as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .dice import Dice
from .draw import draw, paint
from .light import light_named
from .scene import Scene, Split, held_out, scene
from .vocabulary import COLOURS, FIGURES, GARMENTS, LIGHTS, NONE, STYLES

COUNT = 3
"""How many ways of saying each change has."""
REACH = 1 / 24
"""How far, in parts of the picture's side, a brush reaches beyond what it paints."""

_LIGHT = {
    "day": ("by day", "make it a sunny day", "in the sunshine"),
    "sunset": ("at sunset", "make it sunset", "in the evening"),
    "night": ("at night", "make it night", "in the moonlight"),
    "rain": ("on a rainy day", "make it rain", "while it rains"),
    "snow": ("on a snowy day", "make it snow", "in winter"),
    "fog": ("on a foggy day", "make it foggy", "in the mist"),
}
_STYLE = {
    "flat": ("as a flat illustration", "make it a flat illustration", "turn it into a storybook illustration"),
    "oil": ("as an oil painting", "make it an oil painting", "paint it in oils"),
    "watercolour": ("as a watercolour", "make it a watercolour", "paint it in watercolour"),
    "pencil sketch": ("as a pencil sketch", "make it a pencil sketch", "draw it in pencil"),
    "starry night": ("in the style of a starry night", "make it a starry night painting", "in starry night style"),
}
_RECOLOUR = ("make the {0} {1}", "change the {0} to {1}", "a {1} {0}")
_ADD = ("add {0}", "give {1} {0}", "with {0}")
_REMOVE = ("remove the {0}", "take off the {0}", "without the {0}")
_SAID = {"headset": "vr headset"}


@dataclass(frozen=True)
class Edit:
    """A scene, what is asked for, in several words, and the scene as it is then.

    everywhere: whether all of the picture changes, as with its light or its style.
    """

    before: Scene
    after: Scene
    instructions: tuple[str, ...]
    everywhere: bool


def edit(seed: int, index: int, split: Split = "seen") -> Edit:
    """Edit number `index` of the world `seed`. Both of its scenes are of that split, as `scene` says."""
    before, dice = scene(seed, index, split), Dice(seed, index, "instruction")
    changes = [change for change in _CHANGES for _ in range(_OFTEN[change])]
    while True:
        found = dice.choose(changes)(before, dice)
        if found is None:
            continue
        values, said = found
        after = before.with_attributes(**values)
        if split == "any" or held_out(after) == (split == "held-out"):
            return Edit(before, after, tuple(dice.shuffled(said)[:COUNT]), bool({"light", "style"} & values.keys()))


def pictures(edit: Edit, size: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """Before and after, uint8 (size, size, 3).

    Where nothing is changed within a brush's reach, the second has the very pixels of the first: what painters throw
    once more for the whole sheet (strokes of oil, hatchings by number) stays as it lies.
    """
    before, after = (draw(each, size, truth=False).image for each in (edit.before, edit.after))
    if edit.everywhere:
        return before, after
    return before, np.where(touched(edit, size)[..., None], after, before)


def touched(edit: Edit, size: int) -> np.ndarray:
    """(size, size) bool: where the flat pictures differ, and as far around as a brush reaches."""
    flat, other = (paint(each, size).pixels[..., :3] for each in (edit.before, edit.after))
    changed = (flat != other).any(-1)
    far = ndimage.distance_transform_edt(~changed) if changed.any() else np.full(changed.shape, np.inf)
    return np.asarray(far) <= REACH * size


Change = Callable[[Scene, Dice], "tuple[dict[str, str], list[str]] | None"]


def _recolour(scene: Scene, dice: Dice) -> tuple[dict[str, str], list[str]] | None:
    things = [name for name in ("color", *GARMENTS) if scene[name] != NONE]
    if not things:
        return None
    name = dice.choose(things)
    colour = dice.choose([c for c in COLOURS if c != scene[name]])
    thing = scene["subject"] if name == "color" else name
    return {name: colour}, [_articled(said.format(thing, colour)) for said in _RECOLOUR]


def _add(scene: Scene, dice: Dice) -> tuple[dict[str, str], list[str]] | None:
    if scene["subject"] not in FIGURES:
        return None
    on_the_eyes = ("glasses", "headset") if scene["glasses"] == scene["headset"] == NONE else ()
    things = [name for name in (*GARMENTS, *on_the_eyes) if scene[name] == NONE]
    if not things:
        return None
    name = dice.choose(things)
    colour = dice.choose(tuple(COLOURS)) if name in GARMENTS else "yes"
    thing = f"a {colour} {name}" if name in GARMENTS else {"glasses": "glasses", "headset": "a vr headset"}[name]
    who = "her" if scene["subject"] == "woman" else "him"
    return {name: colour}, [_articled(said.format(thing, who)) for said in _ADD]


def _remove(scene: Scene, dice: Dice) -> tuple[dict[str, str], list[str]] | None:
    things = [name for name in (*GARMENTS, "glasses", "headset") if scene[name] != NONE]
    if not things:
        return None
    name = dice.choose(things)
    return {name: NONE}, [said.format(_SAID.get(name, name)) for said in _REMOVE]


def _relight(scene: Scene, dice: Dice) -> tuple[dict[str, str], list[str]] | None:
    """Another light. In a town lamps throw dice of the houses: there they stay on or off."""
    here = light_named(scene["light"]).windows_lit
    lights = [
        light
        for light in LIGHTS
        if light != scene["light"] and (scene["place"] != "town" or light_named(light).windows_lit == here)
    ]
    light = dice.choose(lights)
    return {"light": light}, list(_LIGHT[light])


def _restyle(scene: Scene, dice: Dice) -> tuple[dict[str, str], list[str]] | None:
    style = dice.choose([style for style in STYLES if style != scene["style"]])
    return {"style": style}, list(_STYLE[style])


_OFTEN: dict[Change, int] = {_recolour: 6, _add: 5, _remove: 3, _relight: 4, _restyle: 3}
_CHANGES = tuple(_OFTEN)


def _articled(said: str) -> str:
    return said.replace("a orange", "an orange")
