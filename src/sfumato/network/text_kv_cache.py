"""Keys and values of the text, computed once for a whole run instead of at every step.

Cross-attention is softmax(Q K^T / sqrt(d)) V with K = text W_K and V = text W_V, and the text does not change from step
to step. What is given is the very tensor that the layer would return, so no picture changes by a bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sfumato.network.engine import Engine
from sfumato.network.spec import Input, NetworkSpec

LINEAR = NetworkSpec(
    {"x": Input(("rows", "tokens", "width"))},
    lambda layer, x: nn.Linear.forward(layer, x),
)
TextKV = Mapping[str, Tensor]
"""What the layers `to_k` and `to_v` of a network's cross-attention make of one text, by their names."""


@dataclass(frozen=True)
class Projected:
    """What a layer made of a text, and the weights it made it with."""

    weight: Tensor
    bias: Tensor | None
    version: int
    value: Tensor


class TextKVCache:
    """The keys and values of the text that was seen last.

    Kept only while the same tensor comes again, nothing records a graph, and the layer's weight is as it was.
    A layer that is more than plain (a LoRA's wrapper, a forward of its own) is left to itself.
    """

    def __init__(self, network: nn.Module, engine: Engine):
        self.engine = engine
        self.places = [(f"{name}.{to}", module, to) for name, module in _crossing(network) for to in ("to_k", "to_v")]
        self._seen: tuple[Tensor | None, dict[nn.Module, Projected]] = None, {}

    def of(self, text: Tensor) -> TextKV | None:
        """The keys and values of a text; None while a graph is recorded, and for an engine that wants none."""
        if torch.is_grad_enabled() or not self.engine.projects_text:
            return None
        seen = self._seen
        if text is not seen[0]:
            seen = self._seen = text, {}  # what another thread's text becomes goes to its own dict
        found: dict[str, Tensor] = {}
        for name, module, to in self.places:  # asked at every step
            layer = module._modules.get(to)
            if type(layer) is not nn.Linear or "forward" in layer.__dict__:
                continue
            known, has = seen[1].get(layer), layer._parameters
            same = known is not None and known.weight is has["weight"] and known.bias is has["bias"]
            if known is None or not same or known.version != known.weight._version:
                value = self.engine.prepare(layer, LINEAR)(x=text)
                known = seen[1][layer] = Projected(layer.weight, layer.bias, layer.weight._version, value)
            found[name] = known.value
        return found


@contextmanager
def projected(network: nn.Module, text: Tensor, kv: TextKV | None) -> Iterator[None]:
    """Inside, the layers named in `kv` answer `text` with what stands there, and everything else by themselves."""
    layers = {_layer(network, name): value for name, value in (kv or {}).items()}
    for layer, value in layers.items():
        vars(layer)["forward"] = _answering(layer, text, value)
    try:
        yield
    finally:
        for layer in layers:
            vars(layer).pop("forward", None)


def _answering(layer: nn.Module, text: Tensor, value: Tensor) -> Callable[[Tensor], Tensor]:
    def forward(given: Tensor) -> Tensor:
        return value if given is text else nn.Linear.forward(layer, given)  # type: ignore[arg-type]

    return forward


def _crossing(network: nn.Module) -> list[tuple[str, Any]]:
    """The cross-attention modules whose `to_k` and `to_v` are given the text as the network is: none of a network that
    projects it first, or whose attention has layers of their own for it."""
    from diffusers.models.attention_processor import Attention

    if getattr(network, "encoder_hid_proj", None) is not None:
        return []
    found = ((name, module) for name, module in network.named_modules() if isinstance(module, Attention))
    return [(name, module) for name, module in found if module.is_cross_attention]


def _layer(network: nn.Module, name: str) -> nn.Module:
    """`get_submodule`, of a layer that is there: ten times as quick, for what is asked at every step."""
    module: Any = network
    for part in name.split("."):
        module = module._modules[part]
    return module
