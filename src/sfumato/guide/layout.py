"""Guidance by words and a layout, each with a scale of its own, one after the other."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from sfumato.condition import Condition, Layout
from sfumato.denoise import Prediction
from sfumato.element import Real, element
from sfumato.guide.guidance import Guidance
from sfumato.guide.instruct import two_scales
from sfumato.lazy import Tensor
from sfumato.picture import BadInput


@element("layout")
class LayoutGuidance(Guidance):
    """u + layout_scale (l - u) + scale (c - l), for x0 and for eps; c is the answer to words and layout, l to layout
    alone, u to neither: InstructPix2Pix's two scales (Brooks et al. 2023, eq. 3) with a layout for its picture.

    scale: how closely to follow the words. layout_scale: how closely to follow the layout; at 1 the unconditional side
    sees the layout too, as Make-A-Scene guides (Gafni et al. 2022, section 3.5). Both 1: off. Costs two rows. Both the
    same: `ClassifierFree`, whose unconditional side sees neither.
    """

    scale: Real = Field(default=5.0, ge=0, le=1000, description="a number from 0 to 1000, for the words")
    layout_scale: Real = Field(default=3.0, ge=0, le=1000, description="a number from 0 to 1000, for the layout")

    needs_null = True

    def infotext(self) -> dict[str, str]:
        return {"CFG scale": f"{self.scale:g}"}

    def branches(self, condition: Condition, t: Tensor) -> Mapping[str, Condition]:
        return {} if self._off else {"unconditional": condition.null(), "layout alone": layout_alone(condition)}

    def combine(self, current: Prediction, outs: Mapping[str, Prediction], x: Tensor, t: Tensor) -> Prediction:
        if self._off:
            return current
        c, l, u = (outs[name] for name in ("conditional", "layout alone", "unconditional"))
        return two_scales(current, c, l, u, self.scale, self.layout_scale)

    @property
    def _off(self) -> bool:
        return self.scale == 1 and self.layout_scale == 1


def layout_alone(condition: Condition) -> Condition:
    """The condition with its layout and without all else that drops. Raises BadInput where it has no layout."""
    if condition.get(Layout) is None:
        raise BadInput("layout and multi-scale guide models that see a layout beside the noise: this one sees none.")
    return condition.null([type(part) for part in condition.parts if not isinstance(part, Layout)])
