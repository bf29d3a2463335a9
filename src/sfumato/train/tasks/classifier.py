"""A classifier of noisy pictures (Dhariwal and Nichol 2021, section 4); with `noise: none`, of clean ones: a judge."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
import torch.nn.functional as nf
from pydantic import Field, model_validator
from torch import Tensor

from sfumato.data.dataset import Dataset
from sfumato.element.section import Few, Fraction, Named, Section, Width
from sfumato.network.classifier import LOGITS, Classifier
from sfumato.network.engine import Eager
from sfumato.schedule import noised
from sfumato.train import report, rng
from sfumato.train.hyperparameters import Common, HeldBack, Stored
from sfumato.train.objective.noise import AnyNoise, DiscreteNoise
from sfumato.train.task import DTYPES, PictureTask, Place, batches, register, to_pixels
from sfumato.train.tasks.pixels import classes_of, rgb


class ClassifierNetwork(Section):
    """Shape of `sfumato.network.classifier.Classifier`, level by level: channels and residual blocks."""

    channels: Annotated[tuple[Width, ...], Field(min_length=1, max_length=16)] = (64, 128)
    blocks: tuple[Few, ...] = (1, 2)
    groups: Few = 8

    @model_validator(mode="after")
    def _fits(self) -> ClassifierNetwork:
        if len(self.blocks) != len(self.channels):
            raise ValueError("channels and blocks need one entry for each level")
        for c in self.channels:
            if c % self.groups:
                raise ValueError(f"channels {c} can't be split into {self.groups} groups: choose a multiple")
        return self


class Clean(Section):
    """No noise: pictures as they are."""

    kind: Literal["none"]


class ClassifierRecipe(Common):
    """p(y | x_t, t); with `noise: none` p(y | x0), a judge whose features can be measured with.

    `shift` moves each training picture by up to so many pixels, `mirror` mirrors half of them.
    """

    task: Literal["classifier"]
    network: ClassifierNetwork = ClassifierNetwork()
    noise: Annotated[AnyNoise | Clean, Field(discriminator="kind"), Named] = DiscreteNoise(kind="squaredcos_cap_v2")
    shift: Annotated[int, Field(ge=0, le=1024)] = 2
    mirror: bool = True
    smoothing: Fraction = 0.05
    held_back: HeldBack = 2000
    export: Stored = "float16"


@register
class ClassifierTask(PictureTask):
    section = ClassifierRecipe

    def __init__(self, recipe: ClassifierRecipe, place: Place):
        super().__init__(recipe, place, recipe.held_back, grey=True)
        shape = recipe.network
        noise = None if isinstance(recipe.noise, Clean) else recipe.noise.model_dump(exclude_none=True)
        channels = self.train_set.pictures.shape[3]
        classes = classes_of(self.train_set, recipe)
        self.network = Classifier(classes, channels, shape.channels, shape.blocks, shape.groups, noise)
        self.logits = Eager().prepare(self.network, LOGITS)

    def forward(self, indices: np.ndarray, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """-log p(y | x_t, t), t uniform in [0, 1]: shifted, mirrored, then noised."""
        x, y = self._rows(self.train_set, indices)
        x = moved(x, self.recipe.shift, self.recipe.mirror, generator)
        logits = self._answer(x, torch.rand(len(x), generator=generator, dtype=torch.float64), generator)
        right = (logits.argmax(1) == y).float().mean()
        return nf.cross_entropy(logits, y, label_smoothing=self.recipe.smoothing), {"accuracy": right.detach()}

    def _rows(self, source: Dataset, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        assert source.labels is not None
        y = torch.from_numpy(source.labels[indices])
        return source.batch(indices).to(self.place.device), y.to(self.place.device)

    def _answer(self, x: Tensor, t: Tensor, generator: torch.Generator) -> Tensor:
        if self.network.noise is not None:
            x = noised(self.network.noise, x, t, torch.randn(x.shape, generator=generator).to(x.device))
        return self.logits(x=x, t=t).float()

    def grids(self) -> dict[str, np.ndarray]:
        """The held-back pictures that it gets wrong, the surest first: each row's class is what it took them for."""
        x, y = self._rows(self.test_set, np.arange(min(1000, len(self.test_set))))
        logits = torch.cat([self.logits(x=part).float() for part in x.split(128)])
        sure, said = logits.softmax(1).max(1)
        rows = []
        for k in range(self.network.classes):
            wrong = ((said == k) & (y != k)).nonzero()[:, 0]
            rows.append(wrong[sure[wrong].argsort(descending=True)][:10].tolist())
        blank = torch.full_like(x[:1], 1.0)
        found = torch.cat([x[i : i + 1] if i >= 0 else blank for row in rows for i in row + [-1] * (10 - len(row))])
        return {"mistakes": report.grid(rgb(to_pixels(found)), 10, zoom=2)}

    def finish(self, export: Path) -> dict[str, float]:
        """Saves classifier/; accuracy on the held-back pictures, and with noise at eight log-SNRs' times."""
        self.network.save(export / "classifier", DTYPES[self.recipe.export])
        times = [0.0] if self.network.noise is None else [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
        return {f"accuracy_t{t:g}": self._accuracy(t) for t in times}

    def _accuracy(self, t: float) -> float:
        right, generator = 0, rng.generator("measure", t)
        for rows in batches(len(self.test_set), 128):
            x, y = self._rows(self.test_set, rows)
            times = torch.full((len(x),), t, dtype=torch.float64)
            right += int((self._answer(x, times, generator).argmax(1) == y).sum())
        return right / len(self.test_set)


def moved(x: Tensor, shift: int, mirror: bool, generator: torch.Generator) -> Tensor:
    """Each picture mirrored or not, and moved by up to `shift` pixels each way over its repeated edge."""
    count, _, height, width = x.shape
    if mirror:
        x = torch.where(torch.rand((count, 1, 1, 1), generator=generator).to(x) < 0.5, x.flip(-1), x)
    if not shift:
        return x
    padded = nf.pad(x, (shift,) * 4, mode="replicate")
    moves = torch.randint(0, 2 * shift + 1, (count, 2), generator=generator).tolist()
    return torch.stack([p[:, dy : dy + height, dx : dx + width] for p, (dy, dx) in zip(padded, moves, strict=True)])
