"""Edits whose answer is known: a scene of the built-in world, the same scene with something changed, and the hole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from sfumato.data.masks import box_around, grown
from sfumato.data.vignettes import Scene, draw
from sfumato.data.vignettes.draw import paint
from sfumato.evaluate.questions import ask

GROWN = 2  # pixels around what differs


@dataclass(frozen=True)
class Pair:
    """The picture, what it shall become, the hole in which they differ (mode L, white) and the words for the latter.

    `attribute` is what changes; `scene` is the scene afterwards.
    """

    before: Image.Image
    after: Image.Image
    hole: Image.Image
    prompt: str
    scene: Scene
    attribute: str


def pair(before: Scene, attribute: str, value: str, size: int) -> Pair | None:
    """`before` with one attribute changed, drawn at `size`; None where that changes less than a hundredth of it.

    The hole is the box around all that differs before a style is laid over it, grown by two pixels.
    """
    after = before.with_attributes(**{attribute: value})
    differs = (paint(before, size).pixels != paint(after, size).pixels).any(-1)
    if differs.mean() < 0.01:
        return None
    hole = Image.fromarray(box_around(grown(differs, GROWN)).astype(np.uint8) * 255)
    first, second = (Image.fromarray(draw(scene, size, truth=False).image) for scene in (before, after))
    return Pair(first, second, hole, ask(after).caption, after, attribute)
