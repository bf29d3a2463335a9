"""Perturbed-attention guidance: Ahn et al. 2024."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from sfumato.condition import Attention, Condition
from sfumato.denoise import Prediction
from sfumato.element import Interval, Listed, Real, element
from sfumato.guide.guidance import Guidance, touches, within
from sfumato.lazy import Tensor, torch


@element("perturbed-attention", short="pag")
class PerturbedAttention(Guidance):
    """c + scale (c - p), for x0 and for eps; p is the answer with self-attention made the identity in `layers`.

    Ahn et al. 2024, "Self-rectifying diffusion sampling with perturbed-attention guidance", eq. 15. In p every place
    sees itself alone (the attention map is replaced by the identity, what is attended to stays), so that c - p points
    to what makes a picture hang together. It needs no condition: it guides unconditional models as well, and beside
    `ClassifierFree` gives u + gamma (c - u) + scale (c - p) in one call.

    scale: 0 is off and costs no row; 3 is the paper's. layers: blocks of the network, "mid" (the paper's), "down",
    "up", or the beginning of a module's name, such as "up_blocks.1". interval: it acts where t lies in it, both ends
    included. Costs one row.
    """

    scale: Real = Field(default=3.0, ge=0, le=1000, description="a number from 0 (off) to 1000")
    layers: Listed[str] = Field(default=("mid",), min_length=1, max_length=64, description="a list, as ['mid']")
    interval: Interval = (0.0, 1.0)

    def branches(self, condition: Condition, t: Tensor) -> Mapping[str, Condition]:
        if not self._acts(t):
            return {}
        identity = torch.ones(condition.rows, dtype=torch.bool, device=condition.branch.device)
        return {f"perturbed {self.layers}": condition.adding(Attention(identity, self.layers))}

    def combine(self, current: Prediction, outs: Mapping[str, Prediction], x: Tensor, t: Tensor) -> Prediction:
        if not self._acts(t):
            return current
        p, c = outs[f"perturbed {self.layers}"], outs["conditional"]
        more = within(self.interval, t, self.scale, x)
        return current.moved(x0=current.x0 + more * (c.x0 - p.x0), eps=current.eps + more * (c.eps - p.eps))

    def _acts(self, t: Tensor) -> bool:
        return self.scale != 0 and touches(self.interval, t)
