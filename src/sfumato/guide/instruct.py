"""Guidance of a picture that is edited as it is told: Brooks et al. 2023, "InstructPix2Pix"."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from sfumato.condition import Concat, Condition
from sfumato.denoise import Prediction
from sfumato.element import Real, element
from sfumato.guide.guidance import Guidance
from sfumato.lazy import Tensor, torch
from sfumato.picture import BadInput


@element("instruct", short="ip2p")
class Instruct(Guidance):
    """u + image_scale (i - u) + scale (c - i), for x0 and for eps (eq. 3); c is the answer to words and picture, i to
    the picture alone, u to neither.

    scale: how closely to follow the words. image_scale: how much of the picture to keep. Both 1: off. Costs two rows.
    It is for models that see the picture as planes beside the noise; `ClassifierFree` leaves the picture in both
    branches, which is image_scale 1 with i in the place of u.
    """

    scale: Real = Field(default=7.5, ge=0, le=1000, description="a number from 0 to 1000, for the words")
    image_scale: Real = Field(default=1.5, ge=0, le=1000, description="a number from 0 to 1000, for the picture")

    needs_null = True

    def infotext(self) -> dict[str, str]:
        return {"CFG scale": f"{self.scale:g}", "Image CFG scale": f"{self.image_scale:g}"}

    def branches(self, condition: Condition, t: Tensor) -> Mapping[str, Condition]:
        if self._off:
            return {}
        planes = condition.get(Concat)
        if planes is None:
            raise BadInput("instruct guides models that see a picture beside the noise, and this one sees none.")
        wordless = condition.null()
        return {
            "unconditional": wordless,
            "neither words nor picture": wordless.adding(Concat(torch.zeros_like(planes.planes))),
        }

    def combine(self, current: Prediction, outs: Mapping[str, Prediction], x: Tensor, t: Tensor) -> Prediction:
        if self._off:
            return current
        c, i, u = (outs[name] for name in ("conditional", "unconditional", "neither words nor picture"))
        return two_scales(current, c, i, u, self.scale, self.image_scale)

    @property
    def _off(self) -> bool:
        return self.scale == 1 and self.image_scale == 1


def two_scales(
    current: Prediction, c: Prediction, i: Prediction, u: Prediction, scale: float, other: float
) -> Prediction:
    """u + other (i - u) + scale (c - i), for x0 and for eps. c enters through `current`, so that what guidances before
    this one did is kept."""
    words, picture = scale - 1, other - 1
    return current.moved(
        x0=current.x0 + words * (c.x0 - i.x0) + picture * (i.x0 - u.x0),
        eps=current.eps + words * (c.eps - i.eps) + picture * (i.eps - u.eps),
    )
