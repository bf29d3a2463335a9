"""Multi-scale guidance by several conditions: Avrahami et al. 2023, "SpaText", section 3.4."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from sfumato.condition import Condition, Layout
from sfumato.denoise import Prediction
from sfumato.element import Real, element
from sfumato.guide.guidance import Guidance
from sfumato.guide.layout import layout_alone
from sfumato.lazy import Tensor


@element("multi-scale")
class MultiScale(Guidance):
    """u + scale (w - u) + layout_scale (l - u), for x0 and for eps; w is the answer to the words alone, l to the layout
    alone, u to neither: SpaText's multi-conditional guidance, in which each condition has a scale of its own.

    It never asks for words and layout together. SpaText's faster variant, u + scale (c - u), is `ClassifierFree`.
    scale: for the words; layout_scale: for the layout. Costs three rows.
    """

    scale: Real = Field(default=5.0, ge=0, le=1000, description="a number from 0 to 1000, for the words")
    layout_scale: Real = Field(default=3.0, ge=0, le=1000, description="a number from 0 to 1000, for the layout")

    needs_null = True

    def infotext(self) -> dict[str, str]:
        return {"CFG scale": f"{self.scale:g}"}

    def branches(self, condition: Condition, t: Tensor) -> Mapping[str, Condition]:
        alone = layout_alone(condition)
        return {"unconditional": condition.null(), "layout alone": alone, "all but layout": condition.null(Layout)}

    def combine(self, current: Prediction, outs: Mapping[str, Prediction], x: Tensor, t: Tensor) -> Prediction:
        names = ("conditional", "all but layout", "layout alone", "unconditional")
        c, w, l, u = (outs[name] for name in names)

        def moved(name: str) -> Tensor:
            now, c_, w_, l_, u_ = (getattr(each, name) for each in (current, c, w, l, u))
            # what guidances before this one did to c is kept
            return now - c_ + u_ + self.scale * (w_ - u_) + self.layout_scale * (l_ - u_)

        return current.moved(x0=moved("x0"), eps=moved("eps"))
