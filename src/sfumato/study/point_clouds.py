"""What studies of points share: a small network, trained in seconds or before, and distances between clouds."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sfumato.condition import Condition
from sfumato.denoise import Bound, Denoiser, Preconditioned, bind
from sfumato.network import mlp
from sfumato.noise import Key, KeyedNoise
from sfumato.predict import target
from sfumato.schedule import noised
from sfumato.study.study import Model, Result, Tick
from sfumato.zoo.files import stamp

Draw = Callable[[int, int], np.ndarray]
"""draw(first, count): points (count, 2) of an endless world."""


@dataclass(frozen=True)
class PointModel(Model):
    """A folder that `sfumato train points` exports."""

    @classmethod
    def named(cls, name: str) -> PointModel:
        mlp.load(name)
        return cls(name, stamp(Path(name)))

    def load(self) -> Preconditioned:
        return mlp.load(self.name)


def train_points(
    tick: Tick, draw: Draw, schedule: dict[str, Any], steps: int, batch: int, width: int, seed: int
) -> Result:
    """The weights of an MLP after `steps` steps of denoising score matching on the endless points of `draw`.

    Vincent 2011; Karras et al. 2022: F of table 1 against its target, which weighs every noise level alike; t is
    uniform. Adam, its rate falling to 0 along a cosine from 2e-3. Everything is a function of the arguments.
    """
    torch.manual_seed(seed)
    config = {"schedule": schedule, "parameterization": "edm", "sigma_data": 1.0, "learned_variance": False}
    trained_network = mlp.MLP(width=width)
    denoiser = mlp.denoiser(trained_network, config)
    optimizer = torch.optim.Adam(trained_network.parameters(), 2e-3)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator, nothing = torch.Generator().manual_seed(seed), Condition.empty(batch)
    for step in range(steps):
        x0 = torch.from_numpy(draw(step * batch, batch)).float()
        t = torch.rand(batch, generator=generator, dtype=torch.float64)
        eps = torch.randn(x0.shape, generator=generator)
        F = denoiser.output(noised(denoiser.schedule, x0, t, eps), t, nothing)
        loss = (F - target("edm", x0, eps, *denoiser.schedule(t), sigma_data=1.0)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()
        tick(step + 1, steps)
    return _packed(trained_network, config)


def trained_before(tick: Tick, model: PointModel) -> Result:
    """The weights of a model that was trained before."""
    denoiser = model.load()
    config = json.loads((Path(model.name) / "config.json").read_text(encoding="utf-8"))
    return _packed(denoiser.backbone.network, config)  # type: ignore[attr-defined]


def trained_network(result: Result) -> Preconditioned:
    """The denoiser of what `train_points` or `trained_before` found."""
    config = json.loads(str(result["config"]))
    found = mlp.MLP(**config["network"])
    found.load_state_dict(
        {name[2:]: torch.from_numpy(value) for name, value in result.items() if name.startswith("w.")}
    )
    return mlp.denoiser(found.eval().requires_grad_(False), config)


def _packed(found: mlp.MLP, config: dict[str, Any]) -> Result:
    weights = {f"w.{name}": value.detach().numpy() for name, value in found.state_dict().items()}
    return {"config": json.dumps({**config, "network": found.config}), **weights}


def alone(denoiser: Denoiser, rows: int) -> Bound:
    """The denoiser of `rows` points that are conditioned on nothing."""
    return bind(denoiser, Condition.empty(rows))


def sliced_wasserstein(a: np.ndarray, b: np.ndarray, directions: int = 64) -> float:
    """The sliced Wasserstein distance W2 of two clouds (n, 2): the root mean square, over directions in the plane, of
    the distance of their shadows, which sorting gives exactly (Bonneel et al. 2015).

    Two clouds of n points of one distribution are about n^(-1/2) apart by chance.
    """
    angle = np.pi * np.arange(directions) / directions
    along = np.stack([np.cos(angle), np.sin(angle)])
    return float(np.sqrt(((np.sort(a @ along, 0) - np.sort(b @ along, 0)) ** 2).mean()))


@dataclass(frozen=True)
class CloudNoise:
    """Noise of a whole cloud, drawn at once: a function of (seed, key), where points need no seeds of their own."""

    source: KeyedNoise

    @classmethod
    def of(cls, seed: int) -> CloudNoise:
        return cls(KeyedNoise([seed]))

    def __call__(self, like: Tensor, *key: Key) -> Tensor:
        return self.source(like[None], *key)[0]

    def at(self, *key: Key) -> CloudNoise:
        return CloudNoise(self.source.at(*key))


def score_error(learned: Tensor, true: Tensor) -> float:
    """E|s - s*|^2/E|s*|^2 of scores (n, 2) at points of the marginal: 0 is exact, 1 is as good as saying nothing."""
    return float((learned - true).square().sum() / true.square().sum())


def lattice(reach: float, side: int) -> Tensor:
    """The points (side^2, 2) of a square grid from -reach to reach, row by row from below."""
    line = torch.linspace(-reach, reach, side, dtype=torch.float64)
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], 1)
