"""What LoRA, LoHa and LoKr have in common: small tensors for many layers, and a file of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from sfumato.adapt.adapter import BoundAdapter
from sfumato.adapt.families import FAMILIES, Family
from sfumato.adapt.layers import Change
from sfumato.adapt.names import Piece
from sfumato.adapt.read import Contents
from sfumato.adapt.write import Layers, write
from sfumato.picture import BadInput
from sfumato.train.hyperparameters import Stored
from sfumato.train.method import Learner, Method, Subject

ATTENTION = re.compile(r"\.(to_q|to_k|to_v|to_out\.0|add_[qkv]_proj|to_add_out|[qkv]_proj|out_proj)$")
"""The layers of attention, as diffusers and transformers call them."""


class LowRankMethod(Method):
    """rank: of a layer's change. alpha: the change is multiplied by alpha/rank; the rank itself where nothing is said.
    convolutions: of the network that denoises too (LoCon). text: the attention of the text encoders too. dora: the
    length of each output is learnt apart from its direction (Liu et al. 2024). export: the type of the file's numbers.
    """

    rank: Annotated[int, Field(ge=1, le=1024)] = 8
    alpha: Annotated[float, Field(gt=0)] | None = None
    convolutions: bool = False
    text: bool = False
    dora: bool = False
    export: Stored = "float32"

    def begin(self, subject: Subject) -> Learner:
        return WeightsLearner(self, subject)


def changed(family: Family, layers: Layers) -> list[Change]:
    """The changes that tensors of one family make, as those of a file."""
    none = Contents({}, {})
    return [Change(part, (Piece(layer),), family, tensors, none) for (part, layer), tensors in layers.items()]


class WeightsLearner(Learner):
    """Tensors of one family for every layer that is chosen."""

    def __init__(self, method: LowRankMethod, subject: Subject) -> None:
        super().__init__()
        self.method, self.subject, self.family = method, subject, FAMILIES[method.kind]
        self.reads = method.text
        self.layers: dict[tuple[str, str], dict[str, Tensor]] = {}
        self.tensors = nn.ParameterDict()
        for part, layer, weight in self._chosen():
            rank = min(method.rank, *weight.shape[:2])
            fresh = self.family.fresh(weight, rank, subject.generator)
            if method.dora:
                fresh["magnitude"] = weight.flatten(1).norm(dim=1).reshape(-1, *[1] * (weight.ndim - 1))
            trained = {name: nn.Parameter(each) for name, each in fresh.items()}
            for name, each in trained.items():
                self.tensors[f"{part} {layer} {name}".replace(".", "_")] = each
            alpha = {} if method.alpha is None else {"alpha": torch.tensor(method.alpha * rank / method.rank)}
            self.layers[part, layer] = trained | alpha
        if not self.layers:
            raise BadInput(f"method: the {subject.painter} of this model has no attention to teach: take dreambooth.")

    def _chosen(self) -> Iterator[tuple[str, str, Tensor]]:
        subject = self.subject
        parts = {subject.painter: subject.networks[subject.painter]} | (subject.readers if self.method.text else {})
        for part, network in parts.items():
            for name, module in network.named_modules():
                attends = isinstance(module, nn.Linear) and ATTENTION.search(f".{name}")
                convolves = self.method.convolutions and part == subject.painter and isinstance(module, nn.Conv2d)
                if attends or convolves:
                    yield part, name, module.weight.detach().float()  # type: ignore[operator]

    def bind(self, networks: Mapping[str, nn.Module]) -> BoundAdapter:
        return BoundAdapter(self.subject.word, changed(self.family, self.layers))

    def save(self, export: Path) -> list[Path]:
        path = export / f"{self.method.kind}.safetensors"
        method: Any = self.method
        told = {"ss_network_dim": str(method.rank), "ss_network_alpha": str(method.alpha or method.rank)}
        write(path, self.family, self.layers, self.subject.networks, self.subject.header | told, self.method.export)
        return [path]
