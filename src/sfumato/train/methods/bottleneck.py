"""Bottleneck adapters: Houlsby et al. 2019, "Parameter-Efficient Transfer Learning for NLP"."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from sfumato.adapt.adapter import BoundAdapter
from sfumato.adapt.bottleneck import behind
from sfumato.adapt.write import save
from sfumato.picture import BadInput
from sfumato.train.method import Learner, Method, Subject, method

BEHIND = re.compile(r"\.(to_out\.0|to_add_out|ff\.net\.2)$")
"""The last layers of attention and of what follows it, as diffusers calls them."""


@method
class BottleneckMethod(Method):
    """h + U relu(D h) behind every attention and every feed-forward of what denoises; `width` channels between."""

    kind: Literal["bottleneck"] = "bottleneck"
    width: Annotated[int, Field(ge=1, le=4096)] = 8

    def begin(self, subject: Subject) -> Learner:
        return BottleneckLearner(self, subject)


class BottleneckLearner(Learner):
    """D as torch begins a layer, U = 0."""

    def __init__(self, method: BottleneckMethod, subject: Subject) -> None:
        super().__init__()
        self.subject = subject
        self.layers: dict[str, dict[str, Tensor]] = {}
        self.tensors = nn.ParameterDict()
        for name, module in subject.networks[subject.painter].named_modules():
            if isinstance(module, nn.Linear) and BEHIND.search(f".{name}"):
                self._begin(f"{subject.painter}.{name}", module.out_features, method.width)
        if not self.layers:
            raise BadInput(f"method: the {subject.painter} of this model has no attention to teach: take dreambooth.")

    def _begin(self, where: str, outputs: int, width: int) -> None:
        down = torch.randn(width, outputs, generator=self.subject.generator) / outputs**0.5
        fresh = {"adapter_down.weight": down, "adapter_down.bias": torch.zeros(width)}
        fresh |= {"adapter_up.weight": torch.zeros(outputs, width), "adapter_up.bias": torch.zeros(outputs)}
        self.layers[where] = {name: nn.Parameter(each) for name, each in fresh.items()}
        for name, each in self.layers[where].items():
            self.tensors[f"{where} {name}".replace(".", "_")] = each  # type: ignore[assignment]

    def bind(self, networks: Mapping[str, nn.Module]) -> BoundAdapter:
        return BoundAdapter(self.subject.word, places=behind(networks, self.layers, 1.0, self.subject.word))

    def save(self, export: Path) -> list[Path]:
        path = export / "bottleneck.safetensors"
        found = {f"{where}.{name}": each for where, tensors in self.layers.items() for name, each in tensors.items()}
        save(path, {key: each.detach().cpu() for key, each in found.items()}, self.subject.header)
        return [path]
