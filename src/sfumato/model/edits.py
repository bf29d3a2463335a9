"""Starts, holds and composites: from a recipe's element to the live part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from sfumato import recipe as spec
from sfumato.edit import NoiseStart, Outside, SDEdit, Start, paste
from sfumato.edit.hold import Held
from sfumato.model.scene import Scene


def sdedit(element: spec.SDEdit, scene: Scene) -> Start:
    picture = scene.given.start
    assert picture is not None
    return SDEdit(scene.encoded(picture), element.strength)


def outside(element: spec.Outside, scene: Scene, start: Start) -> Held | None:
    given = scene.given
    if given.mask is None or given.held is None or scene.stage.inpaints:
        return None
    return Outside(scene.cells(given.mask)).bind(scene.encoded(given.held), scene.schedule)


STARTS: dict[type, Callable[[Any, Scene], Start]] = {
    spec.Noise: lambda element, scene: NoiseStart(scene.like),
    spec.SDEdit: sdedit,
}

HOLDS: dict[type, Callable[[Any, Scene, Start], Held | None]] = {
    spec.Outside: outside,
}
"""A hold also sees the live start: what that knows of the picture's way through time may be held to."""


@dataclass(frozen=True)
class Composite:
    """How the result is put into the held picture.

    `apply` gets the scene, x at its end (None where nothing was sampled) and the pictures decoded from it, and yields
    pictures as they become: `steps` of them that are not yet done (optimisation shows its progress), then the last.
    """

    apply: Callable[[Scene, Tensor | None, list[Image.Image]], Iterator[list[Image.Image]]]
    steps: int = 0


def pasted(scene: Scene, x: Tensor | None, pictures: list[Image.Image]) -> Iterator[list[Image.Image]]:
    """Outside the mask, the held picture's own bytes."""
    given = scene.given
    if given.mask is None or given.held is None:
        yield pictures
        return
    original, mask = np.asarray(given.held), np.asarray(given.mask)
    yield [Image.fromarray(paste(original, np.asarray(picture), mask)) for picture in pictures]


def untouched(scene: Scene, x: Tensor | None, pictures: list[Image.Image]) -> Iterator[list[Image.Image]]:
    yield pictures


COMPOSITES: dict[str, Composite] = {
    "paste": Composite(pasted),
    "none": Composite(untouched),
}
