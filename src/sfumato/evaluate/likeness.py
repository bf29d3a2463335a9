"""What an image prompt hands on: what its picture is of, as the judge reads it in what was painted."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from sfumato.data.vignettes import ATTRIBUTES
from sfumato.evaluate.judge import Judge
from sfumato.space.pixels import to_tensor

if TYPE_CHECKING:
    from PIL import Image

    from sfumato.evaluate.adherence import Drawn


class Likeness:
    """Stands where a `ControlMap` stands, for a control that is shown a picture itself: an array of the value of each
    of the attributes of the built-in world, subject, colour, style and so on, instead of a map."""

    name = "picture"
    shows = "attributes"

    @cached_property
    def judge(self) -> Judge:
        return Judge.load()

    def read(self, image: Image.Image) -> np.ndarray:
        """The attributes of an RGB picture, by the judge."""
        verdict = self.judge.predict(to_tensor([image]))[0]
        return np.array([verdict[name] for name in ATTRIBUTES])

    def truth(self, drawn: Drawn) -> np.ndarray:
        """The attributes that a picture of the built-in world was drawn from."""
        return np.array([drawn.scene.attributes[name] for name in ATTRIBUTES])
