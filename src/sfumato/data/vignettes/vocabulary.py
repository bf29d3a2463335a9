"""The words of the vignettes' world: attributes and their values, colours, semantic classes, held-out combinations."""

from __future__ import annotations

from collections.abc import Mapping

Colour = tuple[float, float, float]

NONE = "none"
COLOURS: dict[str, Colour] = {
    "red": (208, 38, 48),
    "orange": (243, 134, 38),
    "yellow": (250, 212, 66),
    "green": (62, 152, 82),
    "blue": (48, 104, 204),
    "purple": (126, 66, 168),
    "pink": (246, 150, 188),
    "white": (247, 244, 238),
}
STYLES = ("flat", "oil", "watercolour", "pencil sketch", "starry night")
PAINTED = ("oil", "watercolour", "starry night")
LIGHTS = ("day", "sunset", "night", "rain", "snow", "fog")
PLACES = ("sea", "mountains", "hills", "town", "room")
FIGURES = ("woman", "man")

# Where each subject may stand.
SUBJECT_PLACES: dict[str, tuple[str, ...]] = {
    "woman": PLACES,
    "man": PLACES,
    "landscape": ("sea", "mountains", "hills", "town"),
    "boat": ("sea",),
    "house": ("hills", "mountains"),
    "lighthouse": ("sea",),
    "windmill": ("hills",),
    "balloon": ("hills", "mountains", "sea"),
    "tree": ("hills", "mountains"),
    "vase": ("room",),
    "bowl": ("room",),
    "teapot": ("room",),
    "bird": ("hills", "mountains", "room"),
    "cat": ("room", "hills"),
}
SUBJECTS = tuple(SUBJECT_PLACES)
SUBJECT_WEIGHTS = (0.28, 0.22, 0.07) + (0.43 / 11,) * 11

_COLOUR_OR_NONE = (NONE, *COLOURS)
ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "subject": SUBJECTS,
    "style": STYLES,
    "light": LIGHTS,
    "place": PLACES,
    "color": _COLOUR_OR_NONE,
    "jacket": _COLOUR_OR_NONE,
    "hat": _COLOUR_OR_NONE,
    "scarf": _COLOUR_OR_NONE,
    "mask": _COLOUR_OR_NONE,
    "glasses": (NONE, "yes"),
    "headset": (NONE, "yes"),
}
GARMENTS = ("jacket", "hat", "scarf", "mask")

SEMANTIC_NAMES = (
    "void", "sky", "sun or moon", "cloud", "water", "ground", "mountain", "plant", "building", "wall", "furniture",
    "skin", "hair", "clothes", "jacket", "hat", "scarf", "mask", "glasses", "headset", "boat", "lighthouse",
    "windmill", "balloon", "vase", "flower", "bowl", "fruit", "teapot", "cup", "bird", "cat", "window",
)  # fmt: skip
SEMANTIC = {name: number for number, name in enumerate(SEMANTIC_NAMES)}

# Every colourable thing keeps one colour back from training, some subjects one style.
COLOURABLE = (*GARMENTS, *(s for s in SUBJECTS if s not in (*FIGURES, "landscape")))
HELD_OUT_COLOURS = {thing: tuple(COLOURS)[(3 * k + 1) % len(COLOURS)] for k, thing in enumerate(COLOURABLE)}
HELD_OUT_STYLES = {
    "boat": "starry night",
    "house": "pencil sketch",
    "vase": "oil",
    "bird": "watercolour",
    "tree": "flat",
}


def held_out_parts(attributes: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The (thing, colour) and (subject, style) pairs of `attributes` that training never shows; empty when seen.

    The rule is fixed: thing number k of `COLOURABLE` keeps colour number (3k + 1) mod 8 back, and the subjects in
    `HELD_OUT_STYLES` one style each. An orange jacket is held out; a red one is not.
    """
    subject = attributes.get("subject", NONE)
    pairs = [(g, attributes.get(g, NONE)) for g in GARMENTS] + [(subject, attributes.get("color", NONE))]
    found = [(thing, colour) for thing, colour in pairs if HELD_OUT_COLOURS.get(thing) == colour]
    style = attributes.get("style", NONE)
    if HELD_OUT_STYLES.get(subject) == style:
        found.append((subject, style))
    return tuple(found)
