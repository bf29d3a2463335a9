"""LoHa: Hyeon-Woo et al. 2022, "FedPara: Low-rank Hadamard Product"; LyCORIS (Yeh et al. 2023)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from sfumato.adapt.families.family import FAMILIES, Family, Tensors, scale, shaped
from sfumato.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


class LoHa(Family):
    """(alpha/r) (B1 A1) * (B2 A2), entry by entry.

    With cores t1, t2 (r, r, k, k) each factor is sum_ij B_io t_ij A_jc, and B (r, out) stands the other way round.
    """

    endings: ClassVar = {
        rf"\.hada_{name}(?:\.\w+)?": f"hada_{name}" for name in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")
    }  # fmt: skip

    written: ClassVar = {
        f"hada_{name}": f".hada_{name}" for name in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")
    } | {"alpha": ".alpha"}  # fmt: skip
    peft: ClassVar = {f"hada_{name}": f".hada_{name}" for name in ("w1_a", "w1_b", "w2_a", "w2_b")}
    peft_kind: ClassVar = "LOHA"

    def fresh(self, weight: Tensor, rank: int, generator: torch.Generator) -> dict[str, Tensor]:
        """N(0, 1), but for B1 = N(0, 0.1^2) and B2 = 0, as LyCORIS begins."""
        outputs, inputs = len(weight), weight[0].numel()
        return {
            "hada_w1_a": torch.randn(outputs, rank, generator=generator) * 0.1,
            "hada_w1_b": torch.randn(rank, inputs, generator=generator),
            "hada_w2_a": torch.zeros(outputs, rank),
            "hada_w2_b": torch.randn(rank, inputs, generator=generator),
        }

    def complete(self, tensors: Tensors) -> bool:
        return {"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"} <= tensors.keys() and (
            ("hada_t1" in tensors) == ("hada_t2" in tensors)
        )

    def rank(self, tensors: Tensors) -> int:
        return len(tensors["hada_w1_b"])

    def without_cores(self, tensors: Tensors) -> Tensors:
        found = {name: each for name, each in tensors.items() if name not in ("hada_t1", "hada_t2")}
        for n in ("1", "2"):
            if (core := tensors.get(f"hada_t{n}")) is not None:
                a, b = tensors[f"hada_w{n}_a"], tensors[f"hada_w{n}_b"]
                joined = torch.einsum("ij...,jc->ic...", core.float(), b.float()).flatten(1)
                found |= {f"hada_w{n}_a": a.T, f"hada_w{n}_b": joined.to(b.dtype)}
        return found

    def delta(self, tensors: Tensors, weight: Tensor) -> Tensor:
        change = _factor(tensors, "1") * _factor(tensors, "2")
        return shaped(change * scale(tensors, len(tensors["hada_w1_b"])), weight)


def _factor(tensors: Tensors, n: str) -> Tensor:
    a, b = tensors[f"hada_w{n}_a"].float(), tensors[f"hada_w{n}_b"].float()
    if (core := tensors.get(f"hada_t{n}")) is None:
        return a @ b.flatten(1)
    return torch.einsum("ij...,io,jc->oc...", core.float(), a, b)


FAMILIES.add("loha", LoHa())
