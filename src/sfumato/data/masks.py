"""Masks to train inpainting with: what somebody might want repainted. White (True) is repainted.

Mask `index` of the stream `seed` is a function of these two, the size and the things that the picture shows.

| kind | shape | source |
|---|---|---|
| strokes | one to three thick wandering lines | Yu et al. 2019, algorithm 1; Suvorov et al. 2022 (LaMa), section 2.3 |
| boxes | one to three upright rectangles | LaMa, section 2.3 |
| ellipses | one or two, leaning | |
| thing | one thing of the picture or a person with all they wear: outline or box around it, grown | |
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from sfumato.data.vignettes import Scene
from sfumato.data.vignettes.dice import Dice
from sfumato.data.vignettes.draw import paint
from sfumato.data.vignettes.truth import boxes

Mask = NDArray[np.bool_]
Things = Callable[[], Sequence[Mask]]

SHARE = (0.01, 0.85)  # of the picture that a mask may cover
WEIGHTS = {"strokes": 0.3, "boxes": 0.2, "ellipses": 0.1, "thing": 0.4}


def draw(seed: int, index: int, size: int, things: Things | None = None) -> Mask:
    """Mask number `index`, (size, size). What the picture shows is asked for when a mask has the shape of it."""
    dice = Dice(seed, index, "mask")
    kinds = tuple(kind for kind in WEIGHTS if things or kind != "thing")
    things = things or list
    while True:
        kind = dice.weighted(kinds, [WEIGHTS[kind] for kind in kinds])
        mask = KINDS[kind](dice, size, things)
        if SHARE[0] <= mask.mean() <= SHARE[1]:
            return mask


def things(scene: Scene, size: int) -> list[Mask]:
    """The ground truth of what a vignette shows: each visible thing, and each group of things."""
    painter = paint(scene, size)
    instance = painter.labels[..., 0]
    return [np.isin(instance, box["instances"]) for box in boxes(painter, instance)]


def grown(mask: Mask, pixels: float) -> Mask:
    """All that lies within so many pixels of the mask."""
    return np.asarray(ndimage.distance_transform_edt(~mask)) <= pixels if mask.any() else mask


def box_around(mask: Mask, pixels: float = 0) -> Mask:
    """The upright rectangle around the mask, grown by so many pixels on each side."""
    around = np.zeros_like(mask)
    if mask.any():
        rows, columns = ndimage.find_objects(mask.astype(np.uint8))[0]
        by = round(pixels)
        around[max(rows.start - by, 0) : rows.stop + by, max(columns.start - by, 0) : columns.stop + by] = True
    return around


def _strokes(dice: Dice, size: int, _: Things) -> Mask:
    image = Image.new("1", (size, size))
    pen = ImageDraw.Draw(image)
    for _stroke in range(1 + int(3 * dice.random())):
        width = dice.between(0.06, 0.2) * size
        at = (dice.random() * size, dice.random() * size)
        heading = dice.random() * math.tau
        for _vertex in range(2 + int(6 * dice.random())):
            heading += dice.around(0, 1.6)
            reach = dice.between(0.08, 0.3) * size
            to = (at[0] + reach * math.cos(heading), at[1] + reach * math.sin(heading))
            pen.line((at, to), 1, round(width))
            for x, y in (at, to):
                pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), 1)
            at = to
    return np.array(image)


def _boxes(dice: Dice, size: int, _: Things) -> Mask:
    mask = np.zeros((size, size), bool)
    for _box in range(1 + int(3 * dice.random())):
        height, width = (round(dice.between(0.15, 0.75) * size) for _side in range(2))
        top, left = (round(dice.between(-0.1, 0.9) * size) for _side in range(2))
        mask[max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)] = True
    return mask


def _ellipses(dice: Dice, size: int, _: Things) -> Mask:
    y, x = np.mgrid[:size, :size] + 0.5
    mask = np.zeros((size, size), bool)
    for _ellipse in range(1 + int(2 * dice.random())):
        a, b = (dice.between(0.1, 0.4) * size for _axis in range(2))
        down, right, lean = dice.random() * size, dice.random() * size, dice.random() * math.pi
        u = (x - right) * math.cos(lean) + (y - down) * math.sin(lean)
        v = (y - down) * math.cos(lean) - (x - right) * math.sin(lean)
        mask |= (u / a) ** 2 + (v / b) ** 2 <= 1
    return mask


def _thing(dice: Dice, size: int, things: Things) -> Mask:
    thing, by = dice.choose(things()), dice.between(0, 0.08) * size
    return grown(thing, by) if dice.chance(0.6) else box_around(thing, by)


KINDS: dict[str, Callable[[Dice, int, Things], Mask]] = {
    "strokes": _strokes,
    "boxes": _boxes,
    "ellipses": _ellipses,
    "thing": _thing,
}
