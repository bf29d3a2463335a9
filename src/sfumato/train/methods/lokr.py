"""LoKr: LyCORIS (Yeh et al. 2023), Kronecker products."""

from __future__ import annotations

from typing import Literal

from sfumato.train.method import method
from sfumato.train.methods.weights import LowRankMethod


@method
class LoKrMethod(LowRankMethod):
    """W + (alpha/r) w1 (x) (a b): the smallest files of the three."""

    kind: Literal["lokr"] = "lokr"
