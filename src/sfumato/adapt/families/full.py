"""Differences written out: LyCORIS' "full" and "norm"; also what kohya's scripts write of biases."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from sfumato.adapt.families.family import FAMILIES, Family, Tensors, shaped
from sfumato.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


class Full(Family):
    """The difference itself, of the weight, of the bias, or of both."""

    endings: ClassVar = {r"\.diff": "diff", r"\.diff_b": "diff_b", r"\.w_norm": "diff", r"\.b_norm": "diff_b"}

    written: ClassVar = {"diff": ".diff", "diff_b": ".diff_b"}

    def fresh(self, weight: Tensor, rank: int, generator: torch.Generator) -> dict[str, Tensor]:
        """0, whatever the rank."""
        return {"diff": torch.zeros(weight.shape)}

    def holds(self, tensors: Tensors) -> bool:
        """Beside tensors of another family a difference of the bias is that family's."""
        own = set(self.endings.values())
        return bool(tensors.keys() & own) and tensors.keys() <= own | {"alpha", "magnitude"}

    def complete(self, tensors: Tensors) -> bool:
        return True

    def delta(self, tensors: Tensors, weight: Tensor) -> Tensor | None:
        return shaped(tensors["diff"].float(), weight) if "diff" in tensors else None


FAMILIES.add("full", Full())
