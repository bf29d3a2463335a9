"""Networks of transformers whose linear layers stay in GGUF's blocks: T5, the text encoder of FLUX.1 and others."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.quantizers.gguf.utils import GGUFLinear
from torch import Tensor, nn


class Feeding(nn.Module):
    """A layer in blocks where T5 asks for its weight's type, to which it would turn what the layer is given: this has
    no weight, and turns it itself."""

    weight = None

    def __init__(self, layer: GGUFLinear) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.to(self.layer.compute_dtype))


def with_blocks(network: Any, state: dict[str, Tensor], dtype: torch.dtype) -> Any:
    """The empty network of transformers with such tensors, its linear layers in blocks as diffusers' `GGUFLinear`.

    T5's last layer of a block computes in float32, as transformers has it: its sums overflow in float16.
    """
    delicate = set(getattr(network, "_keep_in_fp32_modules", None) or ())
    others = {}
    for name, value in state.items():
        layer, own = name.removesuffix(".weight"), torch.float32 if delicate & set(name.split(".")) else dtype
        if not hasattr(value, "quant_shape"):
            others[name] = value.to(own)
            continue
        old = network.get_submodule(layer)
        made = GGUFLinear(old.in_features, old.out_features, old.bias is not None, own, device="meta")
        made.weight = value
        network.set_submodule(layer, Feeding(made) if layer.endswith(".wo") else made)
    network.load_state_dict(others, strict=False, assign=True)
    return network
