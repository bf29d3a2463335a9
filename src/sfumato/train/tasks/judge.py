"""The judge of `sfumato evaluate`: reads a picture's attributes; trained on the ground truth of drawn pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from sfumato.data import vignettes
from sfumato.data.world import Vignettes
from sfumato.evaluate.judge import VERDICTS, Judge, augment, mean_cross_entropy
from sfumato.network.engine import Eager
from sfumato.picture import BadInput
from sfumato.train.hyperparameters import Common, HeldBack, Stored
from sfumato.train.task import DTYPES, PictureTask, Place, batches, register


class JudgeRecipe(Common):
    task: Literal["judge"]
    held_back: HeldBack = 512
    export: Stored = "float16"


@register
class JudgeTask(PictureTask):
    section = JudgeRecipe

    def __init__(self, recipe: JudgeRecipe, place: Place):
        if not isinstance(recipe.data, Vignettes):
            raise BadInput("a judge is trained on ground truth: data.kind must be vignettes")
        super().__init__(recipe, place, recipe.held_back)
        data = recipe.data
        self.network = Judge(vignettes.ATTRIBUTES)
        self.judge = Eager().prepare(self.network, VERDICTS)
        rows = range(data.first, data.first + data.count + recipe.held_back)
        truth = self.network.targets([vignettes.scene(data.seed, i, data.split).attributes for i in rows])
        self.targets, self.test_targets = truth[: data.count], truth[data.count :]

    def forward(self, indices: np.ndarray, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        pictures, targets = self.train_set.batch(indices), self.targets[torch.as_tensor(indices)]
        pictures = pictures.to(self.place.device)
        logits = self.judge(pictures=augment(pictures, generator) if self.training else pictures)
        return mean_cross_entropy(list(logits), targets.to(self.place.device)), {}

    def finish(self, export: Path) -> dict[str, float]:
        """Saves judge/; accuracy of each attribute on held-back pictures, and the mean."""
        self.network.save(export / "judge", DTYPES[self.recipe.export])
        hits = []
        for rows in batches(len(self.test_set)):
            pictures = self.test_set.batch(rows).to(self.place.device)
            best = torch.stack([logits.argmax(1) for logits in self.judge(pictures=pictures)], 1).cpu()
            hits.append(best == self.test_targets[rows])
        accuracy = torch.cat(hits).float().mean(0)
        figures = {f"accuracy_{name}": float(a) for name, a in zip(self.network.attributes, accuracy, strict=True)}
        return {**figures, "accuracy": float(accuracy.mean())}
