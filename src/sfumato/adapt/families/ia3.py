"""(IA)^3: Liu et al. 2022, "Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper ..."."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from sfumato.adapt.families.family import FAMILIES, Family, Tensors

if TYPE_CHECKING:
    from torch import Tensor


class IA3(Family):
    """W v: each output scaled by 1 + v, or with `on_input` each input, as LyCORIS writes it."""

    endings: ClassVar = {r"\.on_input": "on_input", r"\.weight": "vector"}
    written: ClassVar = {"on_input": ".on_input", "vector": ".weight"}

    def holds(self, tensors: Tensors) -> bool:
        return "on_input" in tensors

    def complete(self, tensors: Tensors) -> bool:
        return {"vector", "on_input"} <= tensors.keys()

    def delta(self, tensors: Tensors, weight: Tensor) -> Tensor:
        vector, of_input = tensors["vector"].float().flatten(), bool(tensors["on_input"])
        if len(vector) != weight.shape[1 if of_input else 0]:
            raise ValueError(f"it scales {len(vector)} channels, and the layer's weight is {tuple(weight.shape)}")
        alone = [1] * (weight.ndim - 2)
        return weight.float() * vector.reshape((1, -1, *alone) if of_input else (-1, 1, *alone))


FAMILIES.add("ia3", IA3())
