"""DreamBooth: Ruiz et al. 2023, "Fine Tuning Text-to-Image Diffusion Models for Subject-Driven Generation"."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from torch import nn

from sfumato.adapt.adapter import BoundAdapter
from sfumato.formats.write import save_network
from sfumato.picture import BadInput
from sfumato.train.hyperparameters import Stored
from sfumato.train.method import Learner, Method, Subject, method
from sfumato.train.task import DTYPES


@method
class DreamBooth(Method):
    """Every weight of the network that denoises; with `text` the text encoders' too. What is left is a whole model.

    Its prior preservation is the recipe's `prior`, which every method can have. export: the type of the weights.
    """

    kind: Literal["dreambooth"] = "dreambooth"
    text: bool = False
    export: Stored = "float16"

    def begin(self, subject: Subject) -> Learner:
        if not (subject.folder / "model_index.json").is_file():
            raise BadInput(
                "method: dreambooth leaves a folder with every part of the model: convert a single file first."
            )
        return WholeLearner(self, subject)


class WholeLearner(Learner):
    """The networks themselves."""

    def __init__(self, method: DreamBooth, subject: Subject) -> None:
        super().__init__()
        self.method, self.subject, self.reads = method, subject, method.text
        parts = {subject.painter: subject.networks[subject.painter]} | (subject.readers if method.text else {})
        self.parts = nn.ModuleDict(parts).requires_grad_(True)

    def bind(self, networks: Mapping[str, nn.Module]) -> BoundAdapter:
        return BoundAdapter(self.subject.word)

    def save(self, export: Path) -> list[Path]:
        """A folder as the model's own, with the parts that were taught in the place of theirs."""
        shutil.copytree(self.subject.folder, export, dirs_exist_ok=True, ignore=_cards)
        for part, network in self.parts.items():
            shutil.rmtree(export / part, ignore_errors=True)
            save_network(network, export / part, DTYPES[self.method.export])
        return [export]


def _cards(_: str, names: list[str]) -> set[str]:
    """A model's card speaks of its own figures."""
    return {name for name in names if name.lower() == "readme.md"}
