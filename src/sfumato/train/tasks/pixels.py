"""Diffusion in pixel space (Ho et al. 2020), conditioned on a class in two ways, trained with and without it.

The export is the folder of `sfumato.formats.ddpm`. Pictures have C channels, 1 where they are grey; a network that
learns its variance (loss hybrid or vlb) answers 2C (Nichol and Dhariwal 2021).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from sfumato.condition import Condition, Label
from sfumato.data.dataset import Dataset
from sfumato.denoise import Bound, Preconditioned, bind
from sfumato.edit import BoundHold, NoiseStart
from sfumato.element.section import Count, Few, Fraction, Named, Section, Width
from sfumato.formats import ddpm
from sfumato.formats.scheduler_config import table_config
from sfumato.guide import ClassifierFree, Guided
from sfumato.network.unet2d import UNet2DBackbone
from sfumato.noise import KeyedNoise
from sfumato.picture import BadInput
from sfumato.sample import DPMpp2M, Sampler, trajectory
from sfumato.schedule.named import named
from sfumato.times import TrailingGrid
from sfumato.train import report, rng
from sfumato.train.hyperparameters import Common, Stored
from sfumato.train.objective import Network, Objective
from sfumato.train.objective.losses import TableObjective
from sfumato.train.task import DTYPES, PictureTask, Place, hush, register, to_pixels


class PixelUNet(Section):
    """Shape of diffusers' UNet2DModel, level by level: channels, and whether it looks at itself (heads of `head`)."""

    channels: Annotated[tuple[Width, ...], Field(min_length=2, max_length=16)] = (32, 64, 128)
    attention: tuple[bool, ...] = (False, False, True)
    head: Width = 32
    layers: Few = 1
    groups: Few = 16

    @model_validator(mode="after")
    def _fits(self) -> PixelUNet:
        if len(self.attention) != len(self.channels):
            raise ValueError("channels and attention need one entry for each level")
        among = (*self.attention[:-1], True)  # in the middle of a U-Net, as wide as its last level, it always attends
        for c, attends in zip(self.channels, among, strict=True):
            if c % self.groups or (attends and c % self.head):
                raise ValueError(f"channels {c} must be a multiple of groups and, where there is attention, of head")
        return self


def unet2d(shape: PixelUNet, size: int, channels_in: int, channels_out: int, **options: Any) -> Any:
    """diffusers' UNet2DModel of that shape; `options` are its own."""
    from diffusers import UNet2DModel

    levels: dict[str, Any] = {
        "block_out_channels": shape.channels,
        "down_block_types": tuple("AttnDownBlock2D" if a else "DownBlock2D" for a in shape.attention),
        "up_block_types": tuple("AttnUpBlock2D" if a else "UpBlock2D" for a in reversed(shape.attention)),
    }
    return UNet2DModel(
        **levels,
        sample_size=size,
        in_channels=channels_in,
        out_channels=channels_out,
        layers_per_block=shape.layers,
        attention_head_dim=shape.head,
        norm_num_groups=shape.groups,
        **options,
    )


class ByTime(Section):
    """A class is a vector added to the time embedding (Dhariwal and Nichol 2021); dropped with `dropout`."""

    kind: Literal["time"] = "time"
    dropout: Fraction = 0.1


class ByChannels(Section):
    """A class is `width` numbers, each a constant plane beside the picture; dropped with `dropout`."""

    kind: Literal["channels"]
    width: Width = 4
    dropout: Fraction = 0.1


class ByNothing(Section):
    """Unconditional."""

    kind: Literal["none"]


class Sheet(Section):
    """A sample grid: `each` pictures of every class (`each` rows of ten where there are none), on fixed noise."""

    each: Few = 4
    steps: Few = 25
    guidance: Annotated[float, Field(ge=0)] = 2.0
    seed: Count = 0


Told = Annotated[ByTime | ByChannels | ByNothing, Field(discriminator="kind"), Named]


class PixelDiffusion(Common):
    """Diffusion of pixels, whose pictures can be halved at every level of the U-Net but the last."""

    network: PixelUNet = PixelUNet()
    export: Stored = "float16"

    @model_validator(mode="after")
    def _can_be_halved(self) -> Self:
        size, times = self.data.size, len(self.network.channels) - 1
        if size % 2**times:
            raise ValueError(f"data.size {size} can't be halved {times} times: choose a multiple of {2**times}")
        return self


class PixelsRecipe(PixelDiffusion):
    """Told a class or none: `dropout` in `label` is p_uncond of Ho and Salimans 2022, algorithm 1."""

    task: Literal["pixels"]
    label: Told = ByTime()
    objective: TableObjective = TableObjective()
    preview: Sheet = Sheet()


@register
class PixelsTask(PictureTask):
    section = PixelsRecipe
    pipeline = "DDPMPipeline"
    schedule: Any

    def __init__(self, recipe: Any, place: Place):
        super().__init__(recipe, place, 512, grey=True)
        hush("diffusers")
        objective = recipe.objective
        self.classes = () if isinstance(recipe.label, ByNothing) else classes_of(self.train_set, recipe)
        self.channels = self.train_set.pictures.shape[3]
        self.schedule = named(**objective.noise)
        self.objective = Objective(objective, self.schedule, levels=256)
        width = recipe.label.width if isinstance(recipe.label, ByChannels) else 0
        self.network = nn.ModuleDict({"unet": self.build(width)})
        if width:
            self.network["embedding"] = nn.Embedding(len(self.classes) + 1, width)
        self.denoiser = Preconditioned(
            UNet2DBackbone(self.network["unet"], embedding=self.embedding, channels=self.channels),
            self.schedule,
            objective.parameterization,
            self.time,
            learned_variance=objective.learned_variance,
        )

    def build(self, planes: int, **options: Any) -> Any:
        """The U-Net, which sees so many planes beside the picture; `options` are UNet2DModel's own."""
        recipe = self.recipe
        if isinstance(recipe.label, ByTime):
            options["num_class_embeds"] = len(self.classes) + 1
        out = self.channels * (2 if recipe.objective.learned_variance else 1)
        return unet2d(recipe.network, recipe.data.size, self.channels + planes, out, **options)

    @property
    def embedding(self) -> Tensor | None:
        """The rows (K + 1, w) of classes that are told by channels."""
        return self.network["embedding"].weight if "embedding" in self.network else None

    def forward(self, indices: np.ndarray, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """E |F - F*|^2; each class is dropped with p_uncond (Ho and Salimans 2022, algorithm 1)."""
        x0, ids = self.train_set.batch(indices).to(self.place.device), self._labels(self.train_set, indices)
        if ids is not None:
            dropped = torch.rand(len(ids), generator=generator) < self.recipe.label.dropout
            ids = torch.where(dropped, len(self.classes), ids)
        losses, t = self.objective(self.told(self.condition(ids, len(x0))), x0, generator)
        return losses.mean(), report.by_noise(losses, t)

    def _labels(self, pictures: Dataset, indices: np.ndarray) -> Tensor | None:
        return torch.from_numpy(pictures.labels[indices]) if self.classes and pictures.labels is not None else None

    def condition(self, ids: Tensor | None, rows: int) -> Condition:
        """Of the classes `ids` (rows,), or of none."""
        condition = Condition.empty(rows) if ids is None else Condition((Label(ids, len(self.classes)),))
        return condition.to(self.place.device)

    def told(self, condition: Condition) -> Network:
        """F at (x, t), by the network as it will be run."""
        return lambda x, t: self.denoiser.output(x, t, condition)

    def time(self, t: Tensor) -> Tensor:
        """What the network is told: its index in the table."""
        return self.schedule.index(t)

    def draw(self, ids: Tensor | None, rows: int) -> Tensor:
        """Pictures (rows, C, H, W) of the classes `ids` (rows,), or of none, as `preview` says."""
        guidance = [] if ids is None else [ClassifierFree(self.recipe.preview.guidance)]
        return self.painted(bind(Guided(self.denoiser, guidance), self.condition(ids, rows)), rows)

    def painted(self, denoise: Bound, rows: int, hold: BoundHold | None = None) -> Tensor:
        """Pictures (rows, C, H, W), from the preview's own noise."""
        size = self.recipe.data.size
        noise = KeyedNoise([rng.key(self.recipe.preview.seed, "preview", row) for row in range(rows)])
        sampler, times = self.walk()
        x, times = NoiseStart(torch.zeros(rows, self.channels, size, size, device=self.place.device))(
            denoise, times, noise
        )
        for step in trajectory(denoise, sampler, x, times, noise, hold):
            x = step.x
        return x

    def walk(self) -> tuple[Sampler, Tensor]:
        """The sampler of the sample grids and its knots: DPM-Solver++ 2M."""
        return DPMpp2M(), TrailingGrid()(self.recipe.preview.steps, self.schedule)

    def grids(self) -> dict[str, np.ndarray]:
        """Every class in a column of its own; without classes ten columns."""
        p, columns = self.recipe.preview, len(self.classes) or 10
        ids = torch.arange(columns).repeat(p.each) if self.classes else None
        with self.place.autocast():
            pictures = self.draw(ids, columns * p.each)
        return {"samples": report.grid(rgb(to_pixels(pictures)), columns, zoom=2)}

    def scheduler(self) -> dict[str, object]:
        """What stock samplers need to know: scheduler_config.json."""
        return table_config(self.recipe.objective)

    def finish(self, export: Path) -> dict[str, float]:
        """Saves the folder; the loss in quarters of time on held-back pictures, with fixed noise."""
        unet, scheduler, dtype = self.network["unet"], self.scheduler(), DTYPES[self.recipe.export]
        ddpm.write(export, unet, scheduler, self.pipeline, self.classes, self.embedding, dtype)
        return report.by_quarter(self._losses, len(self.test_set))

    def _losses(self, rows: np.ndarray, quarter: int, generator: torch.Generator) -> Tensor:
        x0 = self.test_set.batch(rows).to(self.place.device)
        condition = self.condition(self._labels(self.test_set, rows), len(rows))
        return self.measure(self.told(condition), x0, report.times_in(quarter, len(rows), generator), generator)

    def measure(self, network: Network, x0: Tensor, t: Tensor, generator: torch.Generator) -> Tensor:
        """The loss of each row that a finished run reports."""
        return self.objective.at(network, x0, t, generator)


def classes_of(source: Dataset, recipe: Common) -> tuple[str, ...]:
    """The classes of the pictures; BadInput where they have none."""
    if source.labels is None:
        raise BadInput(
            f"the recipe '{recipe.name}' learns classes, but its pictures have none: say in data.label where they stand"
        )
    return source.classes


def rgb(pictures: np.ndarray) -> np.ndarray:
    """uint8 (n, H, W, C) with three channels, a grey one repeated."""
    return pictures if pictures.shape[3] == 3 else pictures.repeat(3, 3)
