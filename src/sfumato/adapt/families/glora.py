"""GLoRA: Chavan et al. 2023, "One-for-All: Generalized LoRA for Parameter-Efficient Fine-tuning"; LyCORIS."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from sfumato.adapt.families.family import FAMILIES, Family, Tensors, scale, shaped
from sfumato.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


class GLoRA(Family):
    """(alpha/r) (W A + B), A = a1 a2 and B = b1 b2: a1 (in, r), a2 (r, in), b1 (out, r), b2 (r, in, ...).

    Of a convolution A mixes channels alone.
    """

    endings: ClassVar = {rf"\.{name}\.weight": name for name in ("a1", "a2", "b1", "b2")}
    written: ClassVar = {name: f".{name}.weight" for name in ("a1", "a2", "b1", "b2")} | {"alpha": ".alpha"}

    def complete(self, tensors: Tensors) -> bool:
        return {"a1", "a2", "b1", "b2"} <= tensors.keys()

    def delta(self, tensors: Tensors, weight: Tensor) -> Tensor:
        a1, a2, b1, b2 = (tensors[name].float().flatten(1) for name in ("a1", "a2", "b1", "b2"))
        if a1.shape[0] != weight.shape[1] or a2.shape[1] != weight.shape[1]:
            raise ValueError(f"it mixes {a1.shape[0]} channels, and the layer's weight is {tuple(weight.shape)}")
        mixed = torch.einsum("oi...,ij->oj...", weight.float(), a1 @ a2)
        return (mixed + shaped(b1 @ b2, weight)) * scale(tensors, len(a2))


FAMILIES.add("glora", GLoRA())
