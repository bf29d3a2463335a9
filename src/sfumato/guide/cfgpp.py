"""CFG++: Chung et al. 2024."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from sfumato.condition import Condition
from sfumato.denoise import Prediction
from sfumato.picture import BadInput


@dataclass(frozen=True)
class CFGPlusPlus:
    """x0 = u + scale (c - u), but eps = eps_u: the guided picture, re-noised along the unconditional one's noise.

    Chung et al. 2024, "CFG++: manifold-constrained classifier free guidance", algorithm 2. A step then goes
    x_s = alpha_s x0 + sigma_s eps_u, an interpolation between pictures instead of an extrapolation of noise, which
    keeps the path on the data and makes it invertible.

    scale: 0 is unconditional, 1 conditional pictures on unconditional noise; 0.6 is about `ClassifierFree(7.5)`. No
    value is off: leave it out. Costs one unconditional row. It sets both x0 and eps, so `ClassifierFree` beside it
    would be overwritten; thresholds come after it.
    """

    scale: float = 0.6

    keeps_score: ClassVar[bool] = False
    """Its x0 is guided and its eps is not: together they are no answer about x, and eps is not the guided score."""

    def __post_init__(self) -> None:
        if not 0 <= self.scale <= 1:
            raise BadInput(f"The scale of CFG++ lies between 0 (unconditional) and 1, not {self.scale}.")

    def branches(self, condition: Condition, t: Tensor) -> Mapping[str, Condition]:
        return {"unconditional": condition.null()}

    def combine(self, current: Prediction, outs: Mapping[str, Prediction], x: Tensor, t: Tensor) -> Prediction:
        u, c = outs["unconditional"], outs["conditional"]
        return current.moved(x0=u.x0 + self.scale * (c.x0 - u.x0), eps=u.eps)
