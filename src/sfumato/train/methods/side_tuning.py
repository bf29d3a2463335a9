"""Side-tuning: Zhang et al. 2020, "Side-Tuning: A Baseline for Network Adaptation via Additive Side Networks"."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from sfumato.adapt.adapter import BoundAdapter
from sfumato.adapt.side_tuning import WAVES, beside
from sfumato.adapt.write import save
from sfumato.picture import BadInput
from sfumato.train.method import Learner, Method, Subject, method


@method
class SideTuningMethod(Method):
    """F(x, t) + S(x, t) with a small network S of `width` channels (`sfumato.adapt.side_tuning`)."""

    kind: Literal["side-tuning"] = "side-tuning"
    width: Annotated[int, Field(ge=1, le=4096)] = 64

    def begin(self, subject: Subject) -> Learner:
        return SideLearner(self, subject)


class SideLearner(Learner):
    """The last layer begins at 0, the others as torch begins them."""

    def __init__(self, method: SideTuningMethod, subject: Subject) -> None:
        super().__init__()
        config: Any = subject.networks[subject.painter].config
        if subject.painter != "unet":
            raise BadInput("method: side-tuning stands beside a U-Net, and this model has none: take lora.")
        self.subject, width = subject, method.width
        inputs, outputs = int(config["in_channels"]), int(config["out_channels"])
        fresh = {
            "enter.weight": self._begun(width, inputs, 3, 3),
            "enter.bias": torch.zeros(width),
            "time.weight": self._begun(width, 2 * WAVES),
            "middle.weight": self._begun(width, width, 3, 3),
            "middle.bias": torch.zeros(width),
            "leave.weight": torch.zeros(outputs, width, 3, 3),
        }
        self.tensors = nn.ParameterDict({name.replace(".", "_"): nn.Parameter(each) for name, each in fresh.items()})

    def _begun(self, *shape: int) -> Tensor:
        inputs = torch.Size(shape[1:]).numel()
        return (2 * torch.rand(*shape, generator=self.subject.generator) - 1) / inputs**0.5

    @property
    def _named(self) -> dict[str, Tensor]:
        return {name.replace("_", "."): each for name, each in self.tensors.items()}

    def bind(self, networks: Mapping[str, nn.Module]) -> BoundAdapter:
        places = beside(networks, self.subject.painter, self._named, 1.0, self.subject.word)
        return BoundAdapter(self.subject.word, places=places)

    def save(self, export: Path) -> list[Path]:
        path = export / "side.safetensors"
        found = {f"{self.subject.painter}.side.{name}": each.detach().cpu() for name, each in self._named.items()}
        save(path, found, self.subject.header)
        return [path]
