"""What a picture of the built-in world lies like, as models are told that were trained on layouts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from sfumato.data.class_colours import painted
from sfumato.data.layouts import numbered, words_in
from sfumato.picture import keep_for_now
from sfumato.region import Region

if TYPE_CHECKING:
    from sfumato.evaluate.adherence import Drawn

MOST = 5  # segments a picture, as SpaText's are trained


def laid_out(layout: str, drawn: Drawn) -> dict[str, Any]:
    """The fields of a recipe that say where things lie in a picture. layout: what `Capabilities.layout` says, "scene"
    for a map of classes, "spatio-textual" for its largest things and the words of each."""
    known = drawn.vignette
    assert known.semantic is not None and known.instance is not None
    if layout == "scene":
        return {"layout": keep_for_now(Image.fromarray(painted(known.semantic)))}
    numbers = numbered(known.instance)
    return {
        "regions": tuple(
            Region(
                words_in(drawn.scene, known.semantic[numbers == number]),
                keep_for_now(Image.fromarray(np.uint8(255) * (numbers == number))),
            )
            for number in range(1, min(int(numbers.max()), MOST) + 1)
        )
    }
