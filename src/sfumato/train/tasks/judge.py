"""The judge of attributes, trained on what the built-in world knows about its pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sfumato.evaluate.judge import Judge
from sfumato.picture import BadInput

from .. import cache, report
from .. import recipe as r
from ..source import Source, open_sources
from . import Place, Task, to_pixels


class JudgeTask(Task):
    network: Judge  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(self, recipe: r.JudgeTask, place: Place):
        from sfumato.data.vignettes import ATTRIBUTES

        super().__init__()
        if not isinstance(recipe.data, r.Vignettes):
            raise BadInput("data.kind must be 'vignettes': a judge learns from pictures whose attributes are known")
        self.recipe, self.place = recipe, place
        self.train_set, self.test_set = open_sources(recipe.data, recipe.held_back, place.cache, recipe.workers)
        self.network = Judge(ATTRIBUTES)
        first, count = recipe.data.first, recipe.data.count
        self.targets = self._targets(self.train_set, recipe.data, first, count)
        self.test_targets = self._targets(self.test_set, recipe.data, first + count, recipe.held_back)

    def __len__(self) -> int:
        return len(self.train_set)

    def _targets(self, source: Source, data: r.Vignettes, first: int, count: int) -> Tensor:
        from sfumato.data import vignettes

        def attributes() -> Iterator[dict[str, str]]:
            for index in range(first, first + count):
                yield vignettes.scene(data.seed, index, data.split).attributes

        return self.network.targets(cache.lines(self.place.cache, "attributes", source.key, attributes))

    def forward(self, indices: np.ndarray, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        pictures = self.train_set.batch(indices).to(self.place.device)
        targets = self.targets[torch.as_tensor(indices)].to(self.place.device)
        return self.network.loss(pictures, targets, generator), {}

    def _right(self) -> Tensor:
        """Whether each attribute of each held-back picture is read rightly, (N, number of attributes)."""
        pictures = self.test_set.batch(np.arange(len(self.test_set))).to(self.place.device)
        return self.network.targets(self.network.predict(pictures)) == self.test_targets

    def grids(self) -> dict[str, np.ndarray]:
        """The held-back pictures with most mistakes."""
        worst = self._right().sum(1).argsort()[:32].numpy()
        return {"mistakes": report.grid(to_pixels(self.test_set.batch(worst)), 8, zoom=2)}

    def finish(self, export: Path) -> dict[str, float]:
        """Saves the judge; measures the accuracy of each attribute on the held-back pictures."""
        right = self._right().double().mean(0)
        self.network.save(export)
        each = dict(zip(self.network.attributes, right.tolist(), strict=True))
        return {"accuracy": float(right.mean()), **{f"accuracy_{name}": value for name, value in each.items()}}
