"""CFG++: Chung et al. 2024."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from sfumato.condition import Condition
from sfumato.denoise import Prediction
from sfumato.element import Real, element
from sfumato.guide.guidance import Guidance
from sfumato.lazy import Tensor


@element("cfg++")
class CFGPlusPlus(Guidance):
    """x0 = u + scale (c - u), but eps = eps_u: the guided picture, re-noised along the unconditional one's noise.

    Chung et al. 2024, "CFG++: manifold-constrained classifier free guidance", algorithm 2. A step then goes
    x_s = alpha_s x0 + sigma_s eps_u, an interpolation between pictures instead of an extrapolation of noise, which
    keeps the path on the data and makes it invertible.

    scale: 0 is unconditional, 1 conditional pictures on unconditional noise; 0.6 is about `ClassifierFree(7.5)`. No
    value is off: leave it out. Costs one unconditional row. The conditional x0 is what guidances before it have made of
    it; thresholds come after it.
    """

    scale: Real = Field(default=0.6, ge=0, le=1, description="a number from 0 (unconditional) to 1")

    needs_null = True
    keeps_score: ClassVar[bool] = False
    """Its x0 is guided and its eps is not: together they are no answer about x, and eps is not the guided score."""

    def branches(self, condition: Condition, t: Tensor) -> Mapping[str, Condition]:
        return {"unconditional": condition.null()}

    def combine(self, current: Prediction, outs: Mapping[str, Prediction], x: Tensor, t: Tensor) -> Prediction:
        u, c = outs["unconditional"], outs["conditional"]
        more = current.x0 - c.x0  # what guidances before this one did
        return current.moved(x0=u.x0 + self.scale * (c.x0 - u.x0 + more), eps=u.eps)
