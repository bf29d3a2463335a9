"""LoKr: LyCORIS (Yeh et al. 2023), after Edalati et al. 2022, "KronA"."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

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

    written: ClassVar = {
        f"lokr_{name}": f".lokr_{name}" for name in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")
    } | {"alpha": ".alpha"}  # fmt: skip
    peft: ClassVar = {f"lokr_{name}": f".lokr_{name}" for name in ("w1", "w2", "w2_a", "w2_b")}
    peft_kind: ClassVar = "LOKR"

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

    def rank(self, tensors: Tensors) -> int:
        ranks = [len(tensors[name]) for name in ("lokr_w1_b", "lokr_w2_b") if name in tensors]
        return ranks[-1] if ranks else 0

    def as_peft(self, tensors: Tensors, weight: Tensor) -> tuple[Tensors, int, float]:
        """w1 whole, and w2 too where r is at least half its longer side or it has a core: so peft has them. The r of a
        whole w2 is its longer side."""
        w1, rank = _factor(tensors, "1").to(_any(tensors, "1").dtype), self.rank(tensors)
        times = scale(tensors, rank) if rank else 1.0
        outputs, inputs = len(weight) // len(w1), weight.shape[1] // w1.shape[1]
        found = {name: each for name, each in tensors.items() if name == "magnitude"} | {"lokr_w1": w1}
        product = "lokr_w2_b" in tensors and "lokr_t2" not in tensors
        if product and (own := len(tensors["lokr_w2_b"])) < max(outputs, inputs) / 2:
            return found | {name: tensors[name] for name in ("lokr_w2_a", "lokr_w2_b")}, own, times * own
        w2 = _factor(tensors, "2").to(_any(tensors, "2").dtype).reshape(outputs, inputs, *weight.shape[2:])
        return found | {"lokr_w2": w2}, max(outputs, inputs), times * max(outputs, inputs)

    def from_peft(self, tensors: Tensors, rank: int, alpha: float) -> Tensors:
        """Where both are whole alpha/r counts in peft and in no other tool: it is multiplied into w1."""
        if self.rank(tensors) or alpha == rank or "lokr_w1" not in tensors:
            return super().from_peft(tensors, rank, alpha)
        return {**tensors, "lokr_w1": tensors["lokr_w1"] * (alpha / rank)}

    def peft_options(self, layers: Sequence[Tensors], weights: Sequence[Tensor]) -> dict[str, Any]:
        """The factor by which peft divides the sides of all weights as they are divided here."""
        sides = {(whole, part) for each, weight in zip(layers, weights, strict=True)
                 for whole, part in zip(weight.shape[:2], each["lokr_w1"].shape, strict=True)}  # fmt: skip
        for factor in (-1, *sorted({part for _, part in sides})):
            if all(_peft_divides(whole, factor) == part for whole, part in sides):
                return {"decompose_factor": factor}
        raise ValueError("peft divides the sides of its weights by one factor, and it does by several")

    def delta(self, tensors: Tensors, weight: Tensor) -> Tensor:
        w1, w2 = _factor(tensors, "1"), _factor(tensors, "2")
        w1 = w1.reshape(*w1.shape, *[1] * (w2.ndim - w1.ndim))
        rank = self.rank(tensors)
        return shaped(torch.kron(w1, w2) * (scale(tensors, rank) if rank else 1.0), weight)


def divided(number: int) -> tuple[int, int]:
    """a b = number, a <= b, as near to each other as can be."""
    a = next(a for a in range(math.isqrt(number), 0, -1) if number % a == 0)
    return a, number // a


def _peft_divides(number: int, factor: int) -> int:
    """The first of the two numbers in which peft divides one (LyCORIS' factorization)."""
    if factor > 0 and number % factor == 0:
        return factor
    most = math.isqrt(number) if factor < 0 else min(factor, math.isqrt(number))
    return next(a for a in range(most, 0, -1) if number % a == 0)


def _any(tensors: Tensors, n: str) -> Tensor:
    return tensors[f"lokr_w{n}" if f"lokr_w{n}" in tensors else f"lokr_w{n}_a"]


def _factor(tensors: Tensors, n: str) -> Tensor:
    if f"lokr_w{n}" in tensors:
        return tensors[f"lokr_w{n}"].float()
    a, b = tensors[f"lokr_w{n}_a"].float(), tensors[f"lokr_w{n}_b"].float()
    if (core := tensors.get(f"lokr_t{n}")) is None:
        return a @ b.flatten(1)
    return torch.einsum("ij...,io,jc->oc...", core.float(), a, b).contiguous()


FAMILIES.add("lokr", LoKr())
