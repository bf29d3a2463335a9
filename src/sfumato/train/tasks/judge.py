"""The judge of `sfumato evaluate`: reads a picture's attributes; trained on the ground truth of drawn pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from sfumato.data.world import Vignettes
from sfumato.picture import BadInput
from sfumato.train.hyperparameters import Common, HeldBack, Stored
from sfumato.train.task import Place, Task, register


class JudgeRecipe(Common):
    task: Literal["judge"]
    held_back: HeldBack = 512
    export: Stored = "float32"


@register
class JudgeTask(Task):
    section = JudgeRecipe

    def __init__(self, recipe: JudgeRecipe, place: Place):
        from sfumato.data import vignettes
        from sfumato.evaluate.judge import Judge

        super().__init__()
        if not isinstance(recipe.data, Vignettes):
            raise BadInput("a judge is trained on ground truth: data.kind must be vignettes")
        self.place, data = place, recipe.data
        self.train_set, self.test_set = data.open(recipe.held_back, place.cache, recipe.workers)
        self.network = Judge(vignettes.ATTRIBUTES)
        rows = range(data.first, data.first + data.count + recipe.held_back)
        truth = self.network.targets([vignettes.scene(data.seed, i, data.split).attributes for i in rows])
        self.targets, self.test_targets = truth[: data.count], truth[data.count :]

    def __len__(self) -> int:
        return len(self.train_set)

    def inputs(self) -> str:
        return self.train_set.key

    def forward(self, indices: np.ndarray, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        pictures, targets = self.train_set.batch(indices), self.targets[torch.as_tensor(indices)]
        return self.network.loss(pictures.to(self.place.device), targets.to(self.place.device), generator), {}

    def finish(self, export: Path) -> dict[str, float]:
        """Saves judge/; accuracy of each attribute on held-back pictures, and the mean."""
        self.network.save(export / "judge")
        hits = []
        for start in range(0, len(self.test_set), 64):
            stop = min(start + 64, len(self.test_set))
            pictures = self.test_set.batch(np.arange(start, stop)).to(self.place.device)
            best = torch.stack([logits.argmax(1) for logits in self.network(pictures)], 1).cpu()
            hits.append(best == self.test_targets[start:stop])
        accuracy = torch.cat(hits).float().mean(0)
        figures = {f"accuracy_{name}": float(a) for name, a in zip(self.network.attributes, accuracy, strict=True)}
        return {**figures, "accuracy": float(accuracy.mean())}
