"""LoKr: LyCORIS (Yeh et al. 2023), after Edalati et al. 2022, "KronA"."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from sfumato.adapt.families.family import FAMILIES, Family, Tensors, scale, shaped, uniform
from sfumato.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


class LoKr(Family):
    """(alpha/r) w1 (x) w2, Kronecker's product: w1 (o1, i1), w2 (o2, i2, ...), for out = o1 o2 and in = i1 i2.

    Each is given whole, or as a product a b of rank r; w2 with a core t2 too, sum_ij a_io t_ij b_jc. Where both are
    whole there is no rank, and alpha says nothing.
    """

    endings: ClassVar = {
        rf"\.lokr_{name}(?:\.\w+)?": f"lokr_{name}" for name in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")
    }  # fmt: skip

    written: ClassVar = {f"lokr_{name}": f".lokr_{name}" for name in ("w1", "w2_a", "w2_b")} | {"alpha": ".alpha"}

    def fresh(self, weight: Tensor, rank: int, generator: torch.Generator) -> dict[str, Tensor]:
        """w1 whole, w2 a product whose second half is 0; each side of the weight is divided as evenly as it can be."""
        outputs, inputs, *_ = weight.shape
        (o1, o2), (i1, i2) = divided(outputs), divided(inputs)
        kernel = weight[0, 0].numel()
        return {
            "lokr_w1": uniform((o1, i1), i1, generator),
            "lokr_w2_a": uniform((o2, rank), rank, generator),
            "lokr_w2_b": torch.zeros(rank, i2 * kernel),
        }

    def complete(self, tensors: Tensors) -> bool:
        return all(f"lokr_w{n}" in tensors or {f"lokr_w{n}_a", f"lokr_w{n}_b"} <= tensors.keys() for n in (1, 2))

    def delta(self, tensors: Tensors, weight: Tensor) -> Tensor:
        w1, w2 = _factor(tensors, "1"), _factor(tensors, "2")
        w1 = w1.reshape(*w1.shape, *[1] * (w2.ndim - w1.ndim))
        ranks = [len(tensors[name]) for name in ("lokr_w1_b", "lokr_w2_b") if name in tensors]
        return shaped(torch.kron(w1, w2) * (scale(tensors, ranks[-1]) if ranks else 1.0), weight)


def divided(number: int) -> tuple[int, int]:
    """a b = number, a <= b, as near to each other as can be."""
    a = next(a for a in range(math.isqrt(number), 0, -1) if number % a == 0)
    return a, number // a


def _factor(tensors: Tensors, n: str) -> Tensor:
    if f"lokr_w{n}" in tensors:
        return tensors[f"lokr_w{n}"].float()
    a, b = tensors[f"lokr_w{n}_a"].float(), tensors[f"lokr_w{n}_b"].float()
    if (core := tensors.get(f"lokr_t{n}")) is None:
        return a @ b.flatten(1)
    return torch.einsum("ij...,io,jc->oc...", core.float(), a, b).contiguous()


FAMILIES.add("lokr", LoKr())
