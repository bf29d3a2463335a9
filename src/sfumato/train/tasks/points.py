"""Diffusion of points in the plane: every objective, parameterization and schedule, in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from sfumato.condition import Condition, Label
from sfumato.data import toy_points as points
from sfumato.data.array_cache import digest
from sfumato.denoise import bind
from sfumato.edit import NoiseStart
from sfumato.element.section import Count, Few, Fraction, Section, Width
from sfumato.guide import ClassifierFree, Guided
from sfumato.network import mlp
from sfumato.noise import KeyedNoise
from sfumato.sample import Heun, trajectory
from sfumato.times import KarrasGrid
from sfumato.train import plane, report, rng
from sfumato.train.hyperparameters import Common
from sfumato.train.objective import Objective
from sfumato.train.objective.losses import FreeObjective
from sfumato.train.task import Place, Task, register


class PlaneData(Section):
    """`count` points of one of the worlds of `sfumato.data.toy_points`; those after them are measured on."""

    kind: Literal["swiss-roll", "two-moons", "pinwheel", "checkerboard", "ring"] = "swiss-roll"
    seed: Count = 0
    count: Annotated[int, Field(gt=0, le=10_000_000)] = 50_000


class MLPNetwork(Section):
    """Shape of `sfumato.network.mlp.MLP`."""

    width: Width = 128
    depth: Few = 3


class Plot(Section):
    """What a sample sheet shows: `count` points of Heun's method in `steps` steps."""

    count: Annotated[int, Field(gt=0, le=1_000_000)] = 4000
    steps: Few = 20
    guidance: Annotated[float, Field(ge=0)] = 1.0
    seed: Count = 0


HELD_BACK = 2000


class PointsRecipe(Common):
    """Diffusion of points, told their class unless `labels` is false.

    `dropout` is p_uncond of Ho and Salimans 2022, algorithm 1; at 0 the network never learns to do without a class.
    """

    task: Literal["points"]
    data: PlaneData = PlaneData()  # pyright: ignore[reportIncompatibleVariableOverride]
    network: MLPNetwork = MLPNetwork()
    objective: FreeObjective = FreeObjective(sigma_data=1.0)
    labels: bool = True
    dropout: Fraction = 0.1
    precision: Literal["auto", "float32", "bfloat16"] = "float32"
    preview: Plot = Plot()


@register
class PointsTask(Task):
    section = PointsRecipe

    def __init__(self, recipe: PointsRecipe, place: Place):
        super().__init__()
        self.recipe, self.place = recipe, place
        data, objective = recipe.data, recipe.objective
        drawn, labels = (torch.from_numpy(a) for a in points.draw(data.kind, data.seed, data.count + HELD_BACK))
        self.points, self.test = drawn[: data.count], drawn[data.count :]
        self.labels, self.test_labels = labels[: data.count], labels[data.count :]
        self.classes = points.KINDS[data.kind].classes if recipe.labels else 0
        self.network = mlp.MLP(
            2,
            recipe.network.width,
            recipe.network.depth,
            self.classes,
            null=recipe.dropout > 0,
            outputs=2 if objective.learned_variance else 1,
        )
        self.config = {
            "schedule": objective.noise,
            "parameterization": objective.parameterization,
            "sigma_data": objective.sigma_data,
            "learned_variance": objective.learned_variance,
            "data": {"kind": data.kind, "seed": data.seed},
        }
        self.denoiser = mlp.denoiser(self.network, self.config)
        self.objective = Objective(objective, self.denoiser.schedule)

    def __len__(self) -> int:
        return len(self.points)

    def inputs(self) -> str:
        return digest(self.recipe.data.model_dump(mode="json"))

    def forward(self, indices: np.ndarray, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The objective; each class is dropped with p_uncond (Ho and Salimans 2022, algorithm 1)."""
        x0, labels = self.points[indices], self.labels[indices]
        dropped = torch.rand(len(labels), generator=generator) < self.recipe.dropout
        condition = self._condition(torch.where(dropped, self.classes, labels))
        network = lambda x, t: self.denoiser.output(x, t, condition)  # noqa: E731
        losses, t = self.objective(network, x0.to(self.place.device), generator)
        return losses.mean(), report.by_noise(losses, t)

    def _condition(self, ids: Tensor) -> Condition:
        if not self.classes:
            return Condition.empty(len(ids))
        return Condition((Label(ids, self.classes if self.recipe.dropout else None),)).to(self.place.device)

    @torch.no_grad()
    def draw(self, ids: Tensor, guidance: float = 1.0) -> Tensor:
        """Points (len(ids), 2) of the classes `ids`, on the CPU: Heun's method on the grid of Karras et al. 2022.

        What says only the noise is not asked where the picture is less than 1/80 of it.
        """
        p, schedule = self.recipe.preview, self.denoiser.schedule
        says_noise = self.recipe.objective.parameterization in ("eps", "score")
        first = min(1.0, float(schedule.time(80.0))) if says_noise else 1.0
        denoiser: Any = Guided(self.denoiser, [ClassifierFree(guidance)]) if self.classes else self.denoiser
        denoise = bind(denoiser, self._condition(ids))
        noise = KeyedNoise([rng.key(p.seed, "preview", row) for row in range(len(ids))])
        times = KarrasGrid()(p.steps, schedule, first)
        x, times = NoiseStart(torch.zeros(len(ids), 2, device=self.place.device))(denoise, times, noise)
        for step in trajectory(denoise, Heun(), x, times, noise):
            x = step.x
        return x.cpu()

    def grids(self) -> dict[str, np.ndarray]:
        """Data and samples: above by class, in its colour; below their densities, the samples' without a class."""
        p, kind = self.recipe.preview, self.recipe.data.kind
        theirs, labels = points.draw(kind, self.recipe.data.seed, p.count)
        ids = torch.from_numpy(labels)
        ours = self.draw(ids, p.guidance).numpy()
        free = self.draw(torch.full_like(ids, self.classes)).numpy() if self.recipe.dropout and self.classes else ours
        panels = [plane.scatter(theirs, labels), plane.scatter(ours, labels if self.classes else None)]
        return {"samples": report.grid(np.stack([*panels, plane.density(theirs), plane.density(free)]), 2)}

    def finish(self, export: Path) -> dict[str, float]:
        """Saves config.json and model.safetensors; how far samples are from points that were held back.

        The energy distance is told beside that of other points from the same world, which is what chance leaves.
        """
        mlp.save(export, self.network, self.config)
        data = self.recipe.data
        others = torch.from_numpy(points.draw(data.kind, data.seed, HELD_BACK, data.count + HELD_BACK)[0])
        samples = self.draw(self.test_labels)
        generator, t = rng.generator("measure"), (torch.arange(HELD_BACK, dtype=torch.float64) + 0.5) / HELD_BACK
        condition, x0 = self._condition(self.test_labels), self.test.to(self.place.device)
        losses = self.objective.at(lambda x, t: self.denoiser.output(x, t, condition), x0, t, generator)
        return {
            "loss": float(losses.mean()),
            "energy_distance": energy_distance(samples, self.test),
            "energy_distance_of_data": energy_distance(others, self.test),
        }


def energy_distance(x: Tensor, y: Tensor) -> float:
    """2 E|x - y| - E|x - x'| - E|y - y'| of (n, d) and (m, d), unbiased; 0 for equal laws (Szekely & Rizzo 2013)."""
    x, y = x.double(), y.double()
    within = sum(float(torch.cdist(a, a).sum()) / (len(a) * (len(a) - 1)) for a in (x, y))
    return 2 * float(torch.cdist(x, y).mean()) - within
