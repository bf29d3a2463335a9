"""Which starts and holds an edit's wishes ask for, of which picture and mask."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from PIL import Image

from sfumato.edit import AttentionEdit, Crop, Hold, Inferred, Outside, Resample
from sfumato.picture import BadInput, Ref, extended, keep_from, open_mask, open_picture
from sfumato.picture.files import encode_png
from sfumato.recipe import written

Named = Callable[[str], str]

ASKED_BY = {"start": "written", "task": "source", "other": "between", "shows": "inverted"}
"""The wish that asks for each kind of start; without any it is sdedit."""
TAKES: dict[str, tuple[str, ...]] = {
    "sdedit": ("strength",),
    "inverted": ("strength", "shows", "refine", "inversion"),
    "between": ("strength", "weight", "other", "refine"),
    "source": ("task",),
    "written": ("strength", "start"),
}
NEEDS = {"weight": ("other",), "refine": ("shows", "other"), "inversion": ("shows",)}
MASKED = 1.0  # a mask says what to repaint: all of it
EXTENDED = 0.9  # how far the new part of an extended picture is from the stretched edge that it starts from
BESIDE = 1.0  # a picture that is edited by its own attention starts where it was all noise


def attention_of(shows: str | None, method: str | None, named: Named) -> AttentionEdit | None:
    """What is done to attention: by default Prompt-to-Prompt, where there are words of what is there already."""
    if shows is None and method is not None:
        raise BadInput(f"{named('method')} needs {named('shows')}: say what is there to begin with")
    return None if shows is None else written.attention(method or "prompt-to-prompt", shows)


def check_used(given: Mapping[str, Any], kind: str, asked: str, named: Named) -> None:
    """Raises BadInput for a wish of those `given` that has no use for a start of this kind, for which was `asked`."""
    for name in given:
        if name not in TAKES[kind]:
            needed = " or ".join(map(named, NEEDS.get(name, ())))
            without = f"needs {needed}" if needed else f"does not go with {named(asked)}"
            raise BadInput(f"{named(name)} {without}")


def hold_of(wish: str | None, shows: str | None, given: Hold | None, named: Named) -> Hold | None:
    """The mask's, the written one, or where the picture's words are said the one that is inferred."""
    if given is not None:
        if wish not in (None, "none"):
            raise BadInput(
                f"{named('mask')} holds what lies outside it and {named('hold')} something else: give one of them"
            )
        return given
    if wish == "none" or (wish is None and shows is None):
        return None
    found = written.hold(wish or "inferred")
    return replace(found, shows=shows) if isinstance(found, Inferred) and shows is not None else found


def canvas(
    picture: Any, mask: Any, extend: str | None, shape: Mapping[str, Any], named: Named
) -> tuple[Ref | Image.Image, Image.Image | None]:
    """The picture and its mask, both extended by `extend`; the mask is None where nothing asks for one.

    The picture is kept, as the file that it is, or extended with that file's author, density and profile, so that the
    result can be saved like it.
    """
    if extend is not None:
        image = open_picture(picture)
        wider, new = extended(image, border(extend, named), None if mask is None else open_mask(mask, image.size))
        file = isinstance(picture, str | os.PathLike | bytes)
        return (keep_from(encode_png(wider, picture)) if file else wider), new
    for name, value in shape.items():
        if mask is None and value:
            raise BadInput(f"{named(name)} is about a mask: give one with {named('mask')}")
    kept = keep_from(picture)
    return kept, None if mask is None else open_mask(mask, kept.size)


def outside(mask: Image.Image, shape: Mapping[str, Any], named: Named) -> Outside:
    """The hold of what lies outside `mask`, shaped as wished."""
    resample = None if shape["resample"] is None else resampling(shape["resample"], named)
    return Outside(mask, grow=shape["grow"], feather=shape["feather"], dilation=shape["dilate"], resample=resample)


def area_of(only_masked: bool, margin: int | None, named: Named) -> Crop | None:
    """The part around the mask, where it is wished that this alone is edited."""
    if margin is not None and not only_masked:
        raise BadInput(
            f"{named('margin')} is about the part that {named('only_masked')} cuts out: give both or neither"
        )
    if not only_masked:
        return None
    return Crop() if margin is None else Crop(margin)


def border(text: str, named: Named = str) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of `32,0,32,0`, or of `32` for all sides."""
    if not re.fullmatch(r"\s*\d{1,5}\s*(,\s*\d{1,5}\s*){3}|\s*\d{1,5}\s*", text):
        raise BadInput(
            f"{named('extend')} {text!r} is no border: give LEFT,TOP,RIGHT,BOTTOM in pixels, as 32,0,32,0, or one "
            "number for all sides"
        )
    numbers = [int(number) for number in text.split(",")]
    left, top, right, bottom = numbers * 4 if len(numbers) == 1 else numbers
    return left, top, right, bottom


def resampling(text: str, named: Named = str) -> Resample:
    """The element of `10x5`: stretches of 10 steps, each walked 5 times."""
    found = re.fullmatch(r"\s*(\d{1,4})\s*[xX×]\s*(\d{1,4})\s*", text)
    if not found:
        raise BadInput(f"{named('resample')} {text!r} is no resampling: give STEPSxTIMES, as 10x5")
    return Resample(int(found[1]), int(found[2]))
