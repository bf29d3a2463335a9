"""The sections of a recipe for a network that inpaints."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .section import Count, Fraction, Positive, Section
from .sections import LatentDiffusion


class Masks(Section):
    """`each` masks a picture are drawn and encoded before training. `everything` is how often all is hidden instead:
    then the network learns text to image."""

    each: Positive = 2
    everything: Fraction = 0.15


class Filled(Section):
    """A sample grid: `count` pictures held back, each beside itself with a hole and with the hole filled."""

    count: Positive = 8
    steps: Positive = 20
    guidance: Annotated[float, Field(ge=0)] = 4.0
    seed: Count = 0


class Inpaint(LatentDiffusion):
    """`begin` goes on from a text-to-image U-Net, widened, or from one that inpaints."""

    task: Literal["inpaint"]
    masks: Masks = Masks()
    preview: Filled = Filled()
