"""What is repainted: the picture, perhaps extended, its mask and how that is shaped."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from PIL import Image

from sfumato.edit import Crop, Outside, Resample
from sfumato.picture import BadInput, Ref, extended, keep_from, open_mask, open_picture

Named = Callable[[str], str]


def canvas(
    picture: Any, mask: Any, extend: str | None, shape: Mapping[str, Any], named: Named
) -> tuple[Ref | Image.Image, Image.Image | None]:
    """The picture and its mask, both extended by `extend`; the mask is None where nothing asks for one.

    Where it is not extended the picture is kept, as the file that it is, so that the result can be saved like it.
    """
    if extend is not None:
        image = open_picture(picture)
        return extended(image, border(extend, named), None if mask is None else open_mask(mask, image.size))
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
