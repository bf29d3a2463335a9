"""From the options about masks to what is repainted: the picture, perhaps extended, its hold and its area."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

SHAPES = ("grow", "feather", "dilate", "resample", "only_masked")


def canvas(options: Mapping[str, Any], picture: Any) -> tuple[Any, Any]:
    """The picture and its mask, both extended by --extend; the mask is None where nothing asks for one."""
    from sfumato.picture import BadInput, extended, open_mask

    mask = None if options["mask"] is None else open_mask(options["mask"], picture.size)
    if options["extend"] is not None:
        return extended(picture, border(options["extend"]), mask)
    for name in SHAPES:
        if mask is None and options[name]:
            raise BadInput(f"--{name.replace('_', '-')} is about a mask: give one with --mask")
    return picture, mask


def outside(options: Mapping[str, Any], mask: Any) -> Any:
    """The hold of what lies outside `mask`, shaped as the options say."""
    from sfumato.edit import Outside

    shape = {"grow": options["grow"], "feather": options["feather"], "dilation": options["dilate"]}
    return Outside(mask, **shape, resample=None if options["resample"] is None else resampling(options["resample"]))


def area(options: Mapping[str, Any], mask: Any) -> Any:
    """The crop of --only-masked; also for a black mask, so that the picture comes back as it is."""
    from sfumato.edit import Crop
    from sfumato.picture import BadInput

    margin = options["margin"]
    if margin is not None and not options["only_masked"]:
        raise BadInput("--margin is about the part that --only-masked cuts out: give both or neither")
    if mask is not None and mask.getbbox() is None and options["size"] is None:
        return Crop()
    if not options["only_masked"]:
        return None
    return Crop() if margin is None else Crop(margin)


def border(text: str) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of `32,0,32,0`, or of `32` for all sides."""
    from sfumato.picture import BadInput

    if not re.fullmatch(r"\s*\d{1,5}\s*(,\s*\d{1,5}\s*){3}|\s*\d{1,5}\s*", text):
        raise BadInput(
            f"--extend {text!r} is no border: give LEFT,TOP,RIGHT,BOTTOM in pixels, as 32,0,32,0, or one number for "
            "all sides"
        )
    numbers = [int(number) for number in text.split(",")]
    left, top, right, bottom = numbers * 4 if len(numbers) == 1 else numbers
    return left, top, right, bottom


def resampling(text: str) -> Any:
    """The element of `10x5`: stretches of 10 steps, each walked 5 times."""
    from sfumato.edit import Resample
    from sfumato.picture import BadInput

    found = re.fullmatch(r"\s*(\d{1,4})\s*[xX×]\s*(\d{1,4})\s*", text)
    if not found:
        raise BadInput(f"--resample {text!r} is no resampling: give STEPSxTIMES, as 10x5")
    return Resample(int(found[1]), int(found[2]))
