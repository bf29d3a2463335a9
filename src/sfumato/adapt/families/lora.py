"""LoRA (Hu et al. 2021) of linear layers, and of convolutions as LoCon (LyCORIS, Yeh et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

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

    written: ClassVar = {
        "down": ".lora_down.weight", "up": ".lora_up.weight", "mid": ".lora_mid.weight", "alpha": ".alpha",
    }  # fmt: skip
    peft: ClassVar = {
        "down": ".lora_A.weight", "up": ".lora_B.weight", "up_bias": ".lora_B.bias",
        "magnitude": ".lora_magnitude_vector",
    }  # fmt: skip
    peft_kind: ClassVar = "LORA"

    def fresh(self, weight: Tensor, rank: int, generator: torch.Generator) -> dict[str, Tensor]:
        """A as torch begins a layer, B = 0 (Hu et al. 2021, section 4.1)."""
        outputs, inputs, *kernel = weight.shape
        down = uniform((rank, inputs, *kernel), weight[0].numel(), generator)
        return {"down": down, "up": torch.zeros(outputs, rank, *[1] * len(kernel))}

    def complete(self, tensors: Tensors) -> bool:
        return {"down", "up"} <= tensors.keys()

    def rank(self, tensors: Tensors) -> int:
        return len(tensors["down"])

    def without_cores(self, tensors: Tensors) -> Tensors:
        if "mid" not in tensors:
            return tensors
        down, core = tensors["down"], tensors["mid"]
        joined = torch.einsum("ij...,jc->ic...", core.float(), down.float().flatten(1)).to(down.dtype)
        found = {name: each for name, each in tensors.items() if name != "mid"} | {"down": joined}
        if "alpha" in tensors:
            found["alpha"] = tensors["alpha"] * (len(joined) / len(down))
        return found

    def as_peft(self, tensors: Tensors, weight: Tensor) -> tuple[Tensors, int, float]:
        """In the shapes of the layer; magnitudes are those of outputs: (out,), of a convolution (1, out, 1, 1)."""
        plain, rank, alpha = super().as_peft(tensors, weight)
        halves = {"down": (rank, *weight.shape[1:]), "up": (len(weight), rank, *[1] * (weight.ndim - 2))}
        plain = {**plain, **{name: plain[name].reshape(shape) for name, shape in halves.items()}}
        if "magnitude" in plain:
            if tuple(plain["magnitude"].shape) not in ((len(weight),), (len(weight), *[1] * (weight.ndim - 1))):
                raise ValueError("its magnitudes are those of inputs, and peft's those of outputs")
            alone = [1] * (weight.ndim - 2)
            plain = {**plain, "magnitude": plain["magnitude"].reshape([1, -1, *alone] if alone else [-1])}
        return plain, rank, alpha

    def peft_options(self, layers: Sequence[Tensors], weights: Sequence[Tensor]) -> dict[str, Any]:
        decomposed = {"magnitude" in each for each in layers}
        if len(decomposed) > 1:
            raise ValueError("some of its layers have magnitudes (DoRA) and others have none")
        return {"use_dora": decomposed == {True}, "lora_bias": any("up_bias" in each for each in layers)}

    def delta(self, tensors: Tensors, weight: Tensor) -> Tensor:
        up, down = tensors["up"].float().flatten(1), tensors["down"].float()
        if "mid" in tensors:
            core = tensors["mid"].float()
            change = torch.einsum("ij...,oi,jc->oc...", core, up, down.flatten(1))
        else:
            change = up @ down.flatten(1)
        return shaped(change * scale(tensors, len(down)), weight)

    def bias(self, tensors: Tensors, bias: Tensor | None) -> Tensor | None:
        whole = super().bias(tensors, bias)
        if "up_bias" not in tensors:
            return whole
        own = tensors["up_bias"].float() * scale(tensors, len(tensors["down"]))
        return own if whole is None else own + whole


FAMILIES.add("lora", LowRank())
