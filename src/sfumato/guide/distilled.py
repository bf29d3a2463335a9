"""Guidance that was distilled into a network: Meng et al. 2023, "On Distillation of Guided Diffusion Models"."""

from __future__ import annotations

from pydantic import Field

from sfumato.element import Real, element
from sfumato.guide.guidance import Guidance


@element("distilled")
class Distilled(Guidance):
    """The scale that a network which learned guided answers is *told*, as FLUX.1 [dev] and LCMs are.

    Nothing is combined and no unconditional row is called: one call a step. Other guidances, classifier-free guidance
    among them, stay possible beside it ("true" guidance, at its price of a second row). The network is told by
    `sfumato.encode.guidance_scale`.
    scale: 1 is the undistilled conditional answer; FLUX.1 [dev] is mostly told 3.5.
    """

    scale: Real = Field(default=3.5, ge=0, le=1000, description="a number from 0 to 1000, the scale that is told")

    def infotext(self) -> dict[str, str]:
        return {"Distilled CFG Scale": f"{self.scale:g}"}
