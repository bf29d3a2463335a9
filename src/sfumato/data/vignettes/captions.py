"""A small grammar that says a scene in words: many paraphrases, parts sometimes left out, nothing ever contradicted."""

from __future__ import annotations

from collections.abc import Mapping

from .dice import Dice
from .vocabulary import FIGURES, NONE, PAINTED

COUNT = 5

_MEDIUM = {
    "flat": ("a picture of {}", "an illustration of {}", "a flat illustration of {}", "a flat picture of {}",
             "{}, flat illustration", "a storybook illustration of {}"),
    "oil": ("an oil painting of {}", "an oil painting of {}", "a painting of {}", "{}, oil painting",
            "a painting in oils of {}", "{}, painted in oil"),
    "watercolour": ("a watercolour of {}", "a watercolor of {}", "a watercolour painting of {}",
                    "a watercolor painting of {}", "{}, watercolour", "a painting of {}"),
    "pencil sketch": ("a pencil sketch of {}", "pencil sketch: {}", "a pencil drawing of {}",
                      "a coloured pencil drawing of {}", "a colored pencil sketch of {}", "{}, pencil sketch"),
    "starry night": ("a starry night painting of {}", "a painting of {} in the style of a starry night",
                     "{} in the style of a starry night", "{}, starry night style", "a swirling painting of {}",
                     "a painting of {}"),
}  # fmt: skip
_LIGHT = {
    "day": ("on a sunny day", "by day", "in the sunshine", "under a blue sky"),
    "sunset": ("at sunset", "in the evening", "at dusk", "at sunset"),
    "night": ("at night", "under the moon", "in the moonlight", "at night"),
    "rain": ("in the rain", "on a rainy day", "in the pouring rain"),
    "snow": ("in the snow", "on a snowy day", "in winter snow"),
    "fog": ("in the fog", "on a foggy day", "in the mist", "in fog"),
}
_LIGHT_INDOORS = {
    "day": ("on a sunny day", "by day", "in daylight"),
    "sunset": ("at sunset", "in the evening", "at dusk"),
    "night": ("at night", "in the moonlight"),
    "rain": ("on a rainy day", "while it rains"),
    "snow": ("on a snowy day", "on a winter day"),
    "fog": ("on a foggy day", "on a misty day"),
}
_PORTRAIT = {
    "oil": "an oil portrait of {}",
    "watercolour": "a watercolour portrait of {}",
    "pencil sketch": "a pencil portrait of {}",
}
_PLACE = {
    "sea": ("by the sea", "at the seaside", "near the sea"),
    "mountains": ("in the mountains", "in front of mountains", "near the mountains"),
    "hills": ("in the hills", "in rolling hills", "in the countryside"),
    "town": ("in a town", "in the town", "in front of houses"),
    "room": ("in a room", "by a window", "indoors"),
}
_SUBJECT = {
    "woman": ("a woman", "a woman", "a woman", "a lady"),
    "man": ("a man", "a man", "a man", "a gentleman"),
    "boat": ("a {} boat", "a {} sailing boat", "a {} sailboat", "a small {} boat"),
    "house": ("a {} house", "a {} cottage", "a little {} house"),
    "lighthouse": ("a {} lighthouse", "a tall {} lighthouse"),
    "windmill": ("a {} windmill", "an old {} windmill"),
    "balloon": ("a {} balloon", "a {} hot air balloon"),
    "tree": ("a {} tree", "a tree with {} leaves", "a big {} tree"),
    "vase": ("a {} vase", "a {} vase of flowers", "flowers in a {} vase"),
    "bowl": ("a {} bowl", "a {} bowl of fruit", "fruit in a {} bowl"),
    "teapot": ("a {} teapot", "a {} teapot and a cup"),
    "bird": ("a {} bird", "a little {} bird", "a {} bird on a branch"),
    "cat": ("a {} cat", "a sitting {} cat"),
}
_LANDSCAPE = {
    "sea": ("the sea", "a landscape of the sea", "a seascape"),
    "mountains": ("mountains", "a landscape of mountains", "a mountain landscape"),
    "hills": ("hills", "a landscape of hills", "a landscape of hills with trees"),
    "town": ("a town", "a landscape with a town", "houses in a town"),
}
_BOAT_PLACE = ("on the sea", "on the water", "sailing on the sea")
_STILL_PLACE = ("on a table", "on a table by a window", "in a room")


def captions(attributes: Mapping[str, str], dice: Dice) -> tuple[str, ...]:
    """`COUNT` paraphrases of `attributes`, all in lower case, at most about 30 words each."""
    return tuple(_caption(attributes, dice, brief=k == COUNT - 1) for k in range(COUNT))


def _caption(attributes: Mapping[str, str], dice: Dice, brief: bool) -> str:
    subject = _figure(attributes, dice) if attributes["subject"] in FIGURES else _object(attributes, dice)
    around = [] if brief else _around(attributes, dice)
    return _medium(attributes, dice).format(" ".join([subject, *around]))


def _medium(attributes: Mapping[str, str], dice: Dice) -> str:
    style, throw = attributes["style"], dice.random()
    if attributes["subject"] in FIGURES and dice.chance(0.1):
        return _PORTRAIT.get(style, "a portrait of {}")
    if throw < 0.12:
        return "{}"
    if throw < 0.2:
        return "a picture of {}"
    if throw < 0.42 and style in PAINTED:
        return "a painting of {}"
    return dice.choose(_MEDIUM[style])


def _around(attributes: Mapping[str, str], dice: Dice) -> list[str]:
    """Place and light, each sometimes left out, in either order."""
    subject, place = attributes["subject"], attributes["place"]
    places = {"boat": _BOAT_PLACE, "vase": _STILL_PLACE, "bowl": _STILL_PLACE, "teapot": _STILL_PLACE}
    parts = []
    if subject != "landscape" and dice.chance(0.55):
        parts.append(dice.choose(places.get(subject, _PLACE[place])))
    if dice.chance(0.75):
        phrases = _LIGHT_INDOORS if place == "room" else _LIGHT
        parts.append(dice.choose(phrases[attributes["light"]]))
    return dice.shuffled(parts)


def _object(attributes: Mapping[str, str], dice: Dice) -> str:
    subject = attributes["subject"]
    if subject == "landscape":
        return dice.choose(_LANDSCAPE[attributes["place"]])
    colour = attributes["color"] if dice.chance(0.92) else ""
    phrases = _SUBJECT[subject]
    if subject == "bird" and attributes["place"] == "room":
        phrases = phrases[:2]
    phrase = " ".join(dice.choose(phrases).format(colour).split())
    return phrase.replace("an orange", "a orange").replace("a orange", "an orange")


def _figure(attributes: Mapping[str, str], dice: Dice) -> str:
    """A person and what they wear: "in a red jacket and a blue hat", "wearing glasses", "with a scarf"."""
    person = dice.choose(_SUBJECT[attributes["subject"]])
    worn = [name for name in ("jacket", "hat", "scarf", "mask", "glasses", "headset") if attributes[name] != NONE]
    worn = [_worn(name, attributes[name], dice) for name in dice.shuffled(worn) if dice.chance(0.9)]
    if not worn:
        return person
    joined = worn[0] if len(worn) == 1 else ", ".join(worn[:-1]) + " and " + worn[-1]
    return f"{person} {dice.choose(('in', 'in', 'wearing', 'wearing', 'with'))} {joined}"


def _worn(name: str, value: str, dice: Dice) -> str:
    if name == "glasses":
        return dice.choose(("glasses", "glasses", "round glasses", "spectacles"))
    if name == "headset":
        return dice.choose(("a vr headset", "a vr headset", "a headset"))
    thing = dice.choose(("face mask", "mask")) if name == "mask" else name
    if dice.chance(0.06):
        return f"a {thing}"
    return f"{'an' if value == 'orange' else 'a'} {value} {thing}"
