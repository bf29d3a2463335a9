"""Hypernetworks as A1111's web page trains them (2022): small networks before the keys and values of attention."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from sfumato.adapt.adapter import BoundAdapter
from sfumato.adapt.hypernetwork import before_attention
from sfumato.picture import BadInput
from sfumato.train.method import Learner, Method, Subject, method


@method
class HypernetworkMethod(Method):
    """c + h(c) in the place of c before keys and before values of attention to the text, one h for each width.

    structure: the widths of its layers, in multiples of c's. activation: between its layers.
    """

    kind: Literal["hypernetwork"] = "hypernetwork"
    structure: Annotated[tuple[Annotated[float, Field(gt=0, le=8)], ...], Field(min_length=2, max_length=8)] = (1, 2, 1)
    activation: Literal["linear", "relu", "leakyrelu", "elu", "swish", "tanh", "sigmoid"] = "relu"

    def begin(self, subject: Subject) -> Learner:
        if self.structure[0] != 1 or self.structure[-1] != 1:
            raise BadInput("method.structure: it begins and ends with 1, as 1, 2, 1.")
        return HypernetworkLearner(self, subject)


class HypernetworkLearner(Learner):
    """Two small networks for each width of what keys and values of cross-attention are made of."""

    def __init__(self, method: HypernetworkMethod, subject: Subject) -> None:
        super().__init__()
        self.method, self.subject = method, subject
        painter = subject.networks[subject.painter]
        crosses = [each for name, each in painter.named_modules() if re.search(r"attn2$", name)]
        self.widths = sorted({int(each.to_k.in_features) for each in crosses})  # type: ignore[union-attr,arg-type]
        if not self.widths:
            raise BadInput(f"method: the {subject.painter} of this model has no attention to a text alone: take lora.")
        self.tensors = nn.ParameterDict()
        for width in self.widths:
            for which in ("k", "v"):
                for name, each in self._fresh(width).items():
                    self.tensors[f"{width} {which} {name}".replace(".", "_")] = nn.Parameter(each)

    @property
    def said(self) -> dict[str, Any]:
        """What a file says of the small networks, as A1111 writes it."""
        return {
            "activation_func": self.method.activation,
            "layer_structure": list(self.method.structure),
            "is_layer_norm": False,
            "activate_output": False,
            "name": self.subject.word,
        }

    def _fresh(self, width: int) -> dict[str, Tensor]:
        """N(0, 0.01^2), the last layer 0: h(c) = 0 at first."""
        sizes = [int(width * times) for times in self.method.structure]
        made: dict[str, Tensor] = {}
        for i, inputs, outputs in zip(self._numbers, sizes, sizes[1:], strict=False):
            last = i == self._numbers[-1]
            weight = torch.randn(outputs, inputs, generator=self.subject.generator) * 0.01
            made[f"linear.{i}.weight"] = torch.zeros_like(weight) if last else weight
            made[f"linear.{i}.bias"] = torch.zeros(outputs)
        return made

    def _layers(self) -> dict[int, tuple[dict[str, Tensor], dict[str, Tensor]]]:
        """The tensors of each width, before keys and before values."""
        names = list(self._names())
        pair = lambda width, which: {name: self.tensors[f"{width} {which} {name}".replace(".", "_")] for name in names}  # noqa: E731
        return {width: (pair(width, "k"), pair(width, "v")) for width in self.widths}

    def _names(self) -> list[str]:
        return [f"linear.{i}.{which}" for i in self._numbers for which in ("weight", "bias")]

    @property
    def _numbers(self) -> list[int]:
        """Those of its layers: A1111 counts activations too, where there are any."""
        count, each = len(self.method.structure) - 1, 1 if self.method.activation == "linear" else 2
        return list(range(0, each * count, each))

    def bind(self, networks: Mapping[str, nn.Module]) -> BoundAdapter:
        places = before_attention(networks, self._layers(), self.said, 1.0, self.subject.word)
        return BoundAdapter(self.subject.word, places=places)

    def save(self, export: Path) -> list[Path]:
        """A1111's own file, which is a pickle of tensors."""
        path = export / "hypernetwork.pt"
        layers = {
            width: tuple({name: t.detach().cpu() for name, t in each.items()} for each in pair)
            for width, pair in self._layers().items()
        }
        torch.save(layers | self.said, path)
        return [path]
