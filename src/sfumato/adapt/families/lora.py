"""LoRA (Hu et al. 2021) of linear layers, and of convolutions as LoCon (LyCORIS, Yeh et al. 2023)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from sfumato.adapt.families.family import FAMILIES, Family, Tensors, scale, shaped, uniform
from sfumato.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


class LowRank(Family):
    """(alpha/r) B A: down A (r, in), up B (out, r).

    Of a convolution A (r, in, k, k) and B (out, r, 1, 1). With a core C (r, r, k, k), `lora_mid`, A and B are of one
    pixel: the change is sum_ij B_oi C_ij A_jc (Tucker's decomposition; LyCORIS, appendix). peft may give B a bias.
    """

    endings: ClassVar = {
        r"\.lora_down\.weight": "down", r"\.lora_A(?:\.\w+)?\.weight": "down", r"\.lora\.down\.weight": "down",
        r"\.lora_linear_layer\.down\.weight": "down", r"_lora\.down\.weight": "down",
        r"\.lora_up\.weight": "up", r"\.lora_B(?:\.\w+)?\.weight": "up", r"\.lora\.up\.weight": "up",
        r"\.lora_linear_layer\.up\.weight": "up", r"_lora\.up\.weight": "up",
        r"(?<=_lora[12])\.down\.weight": "down", r"(?<=_lora[12])\.up\.weight": "up",  # XLabs', a stream each
        r"\.lora_mid\.weight": "mid",
        r"\.lora_up\.bias": "up_bias", r"\.lora_B(?:\.\w+)?\.bias": "up_bias", r"\.lora\.up\.bias": "up_bias",
    }  # fmt: skip

    written: ClassVar = {"down": ".lora_down.weight", "up": ".lora_up.weight", "alpha": ".alpha"}

    def fresh(self, weight: Tensor, rank: int, generator: torch.Generator) -> dict[str, Tensor]:
        """A as torch begins a layer, B = 0 (Hu et al. 2021, section 4.1)."""
        outputs, inputs, *kernel = weight.shape
        down = uniform((rank, inputs, *kernel), weight[0].numel(), generator)
        return {"down": down, "up": torch.zeros(outputs, rank, *[1] * len(kernel))}

    def complete(self, tensors: Tensors) -> bool:
        return {"down", "up"} <= tensors.keys()

    def delta(self, tensors: Tensors, weight: Tensor) -> Tensor:
        up, down = tensors["up"].float().flatten(1), tensors["down"].float()
        if "mid" in tensors:
            core = tensors["mid"].float()
            change = torch.einsum("ij...,oi,jc->oc...", core, up, down.flatten(1))
        else:
            change = up @ down.flatten(1)
        return shaped(change * scale(tensors, len(down)), weight)

    def bias(self, tensors: Tensors, bias: Tensor | None) -> Tensor | None:
        return tensors["up_bias"].float() * scale(tensors, len(tensors["down"])) if "up_bias" in tensors else None


FAMILIES.add("lora", LowRank())
