"""Regional prompts by mixing predictions: Bar-Tal et al. 2023, "MultiDiffusion: Fusing Diffusion Paths"."""

from __future__ import annotations

from collections.abc import Sequence

from sfumato.condition import Condition, MixedRegions
from sfumato.element import element
from sfumato.lazy import Tensor
from sfumato.region.region import Regional


@element("mixing")
class PredictionMixing(Regional):
    """c = sum_k share_k c_k, for x0 and for eps: the network is asked for the whole picture with each region's words,
    and every cell takes the answers by their regions' shares (MultiDiffusion, eq. 5, with one view, the whole, a
    region). What guides takes c for the conditional answer; the unconditional one is of the whole.

    It is for every network, whatever reads the words. Regions know of each other by what is painted alone. A region
    costs a row of the network.
    """

    def apply(self, condition: Condition, others: Sequence[Condition], shares: Tensor) -> Condition:
        parts = tuple(tuple(part for part in other.parts if part.drops) for other in others)
        return condition.adding(MixedRegions(shares.expand(condition.rows, -1, -1, -1), parts))
