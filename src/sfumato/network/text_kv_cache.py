"""Keys and values of the text, computed once for a whole run instead of at every step.

Cross-attention is softmax(Q K^T / sqrt(d)) V with K = text W_K and V = text W_V, and the text does not change from step
to step. What is remembered is the very tensor that the layer returned, so no picture changes by a bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Answer:
    """What a layer made of a text, and the weights it made it with."""

    weight: Tensor
    version: int
    value: Tensor


class TextMemory:
    """Remembers what `to_k` and `to_v` of a diffusers network's cross-attention made of one text.

    Kept only while the same tensor comes again, nothing records a graph, and the layer's weight is as it was.
    A layer that is more than plain (a LoRA's wrapper, a forward of its own) is never remembered.
    """

    def __init__(self, network: nn.Module):
        from diffusers.models.attention_processor import Attention

        self.crossing = [m for m in network.modules() if isinstance(m, Attention) and m.is_cross_attention]
        self._text: Tensor | None = None
        self._answers: dict[nn.Module, Answer] = {}

    @contextmanager
    def of(self, text: Tensor) -> Iterator[None]:
        """Inside, the layers answer `text` from memory."""
        if torch.is_grad_enabled():
            yield
            return
        if text is not self._text:
            self._text, self._answers = text, {}
        layers = self._plain()
        for layer in layers:
            vars(layer)["forward"] = _remembering(layer, text, self._answers)
        try:
            yield
        finally:
            for layer in layers:
                vars(layer).pop("forward", None)

    def _plain(self) -> list[nn.Linear]:
        layers = (layer for module in self.crossing for layer in (module.to_k, module.to_v))
        return [layer for layer in layers if type(layer) is nn.Linear and "forward" not in vars(layer)]


def _remembering(layer: nn.Linear, text: Tensor, answers: dict[nn.Module, Answer]) -> Callable[[Tensor], Tensor]:
    def forward(given: Tensor) -> Tensor:
        if given is not text:
            return nn.Linear.forward(layer, given)
        known = answers.get(layer)
        if known is None or known.weight is not layer.weight or known.version != layer.weight._version:
            known = Answer(layer.weight, layer.weight._version, nn.Linear.forward(layer, given))
            answers[layer] = known
        return known.value

    return forward
