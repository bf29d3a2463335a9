"""Starts and holds: from a recipe's element to the live part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sfumato import recipe as spec
from sfumato.edit import NoiseStart, Outside, SDEdit, Start
from sfumato.edit.hold import Held
from sfumato.model.inversions import between, edit_friendly, inferred, inverted, low_pass
from sfumato.model.scene import Scene
from sfumato.picture import BadInput


def sdedit(element: spec.SDEdit, scene: Scene) -> Start:
    picture = scene.given.start
    assert picture is not None
    return SDEdit(scene.encoded(picture), element.strength)


def outside(element: spec.Outside, scene: Scene, start: Start) -> Held | None:
    given = scene.given
    if given.mask is None or given.held is None:
        return None
    if scene.stage.capabilities.inpaints:
        if element.dilation:
            raise BadInput(
                "This model is shown the mask and nothing is held to it on the way, so that dilation says nothing; "
                "leave it out, or grow the mask."
            )
        return None
    hold = Outside(scene.cells(given.mask), dilation=scene.in_cells(element.dilation))
    return hold.bind(scene.encoded(given.held), scene.schedule)


STARTS: dict[type, Callable[[Any, Scene], Start]] = {
    spec.Noise: lambda element, scene: NoiseStart(scene.like),
    spec.SDEdit: sdedit,
    spec.Inverted: inverted,
    spec.EditFriendly: edit_friendly,
    spec.Between: between,
}

HOLDS: dict[type, Callable[[Any, Scene, Start], Held | None]] = {
    spec.Outside: outside,
    spec.Inferred: inferred,
    spec.LowPass: low_pass,
}
"""A hold also sees the live start: what that knows of the picture's way through time may be held to."""
