"""LoHa: Hyeon-Woo et al. 2022, "FedPara"; LyCORIS (Yeh et al. 2023)."""

from __future__ import annotations

from typing import Literal

from sfumato.train.method import method
from sfumato.train.methods.weights import LowRankMethod


@method
class LoHaMethod(LowRankMethod):
    """W + (alpha/r) (B1 A1) * (B2 A2), entry by entry: rank r^2 for the numbers of rank 2 r."""

    kind: Literal["loha"] = "loha"
    rank: int = 4
