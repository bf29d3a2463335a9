"""Diffusion in pixel space (Ho et al. 2020), conditioned on a class in two ways, trained with and without it.

The export is a folder in diffusers' DDPM format, and beside it what diffusers has no place for:

    model_index.json           DDPMPipeline of unet and scheduler
    unet/                      UNet2DModel: config.json, diffusion_pytorch_model.safetensors
    scheduler/                 scheduler_config.json of a DDPMScheduler: the table and the parameterization
    label/config.json          {"kind": "sfumato-labels", "how": "time" or "channels", "classes": [K names],
                                "null": K, "width": w}; absent where the network is unconditional
    label/model.safetensors    "channels" alone: "embedding.weight" (K + 1, w), row K being the null

"time": the network has num_class_embeds = K + 1, its answer is unet(x, index, class_labels=y).
"channels": the network has C + w input channels, its answer is unet(cat([x, planes of embedding[y]]), index).
Pictures have C channels, 1 where they are grey; a network that learned its variance (loss hybrid or vlb) answers 2C
and its scheduler's variance_type is "learned_range" (Nichol and Dhariwal 2021).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

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
from sfumato.noise import KeyedNoise
from sfumato.picture import BadInput
from sfumato.sample import DPMpp2M, Sampler, trajectory
from sfumato.schedule.named import named
from sfumato.times import TrailingGrid
from sfumato.train import report, rng
from sfumato.train.hyperparameters import Common, Stored
from sfumato.train.objective import Objective
from sfumato.train.objective.losses import TableObjective
from sfumato.train.task import DTYPES, Place, Task, hush, register, to_pixels


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
        for c, attends in zip(self.channels, self.attention, strict=True):
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


class Labelled(nn.Module):
    """F(x, time, y): a U-Net whose class y, K being none, is added to the time or stands beside the picture."""

    def __init__(self, unet: nn.Module, embedding: nn.Embedding | None = None):
        super().__init__()
        self.unet, self.embedding = unet, embedding

    def forward(self, x: Tensor, time: Tensor, y: Tensor | None) -> Tensor:
        if y is None:
            return self.unet(x, time, return_dict=False)[0]
        if self.embedding is None:
            return self.unet(x, time, class_labels=y, return_dict=False)[0]
        planes = self.embedding(y)[:, :, None, None].expand(-1, -1, *x.shape[2:]).to(x.dtype)
        return self.unet(torch.cat([x, planes], 1), time, return_dict=False)[0]


def save(
    network: Labelled,
    export: Path,
    pipeline: str,
    scheduler: dict[str, object],
    classes: tuple[str, ...],
    dtype: torch.dtype,
) -> None:
    """Write the folder that the module docstring describes."""
    embedding = None if network.embedding is None else network.embedding.weight
    ddpm.write(export, network.unet, scheduler, pipeline, classes, embedding, dtype)


def halves(data: object, channels: tuple[int, ...]) -> None:
    """Raises ValueError unless pictures of that size can be halved at every level but the last."""
    size, times = int(getattr(data, "size")), len(channels) - 1  # noqa: B009
    if size % 2**times:
        raise ValueError(f"data.size {size} can't be halved {times} times: choose a multiple of {2**times}")


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


class PixelsRecipe(Common):
    """Diffusion of pixels: `dropout` in `label` is p_uncond of Ho and Salimans 2022, algorithm 1."""

    task: Literal["pixels"]
    network: PixelUNet = PixelUNet()
    label: Told = ByTime()
    objective: TableObjective = TableObjective()
    preview: Sheet = Sheet()
    export: Stored = "float16"

    @model_validator(mode="after")
    def _can_be_halved(self) -> PixelsRecipe:
        halves(self.data, self.network.channels)
        return self


@register
class PixelsTask(Task):
    section = PixelsRecipe
    pipeline = "DDPMPipeline"
    recipe: Any  # a PixelsRecipe, or that of a task that differs in a few methods
    schedule: Any

    def __init__(self, recipe: Any, place: Place):
        super().__init__()
        hush("diffusers")
        self.recipe, self.place = recipe, place
        self.source, self.test = recipe.data.open(512, place.cache, recipe.workers, grey=True)
        self.classes = () if isinstance(recipe.label, ByNothing) else classes_of(self.source, recipe)
        self.channels = self.source.pictures.shape[3]
        self.schedule = named(**recipe.objective.noise)
        self.objective = Objective(recipe.objective, self.schedule, levels=256)
        self.network = self.build()

    def build(self, **options: Any) -> Labelled:
        """The network; `options` are UNet2DModel's own."""
        recipe, rows = self.recipe, len(self.classes) + 1
        width = recipe.label.width if isinstance(recipe.label, ByChannels) else 0
        if isinstance(recipe.label, ByTime):
            options["num_class_embeds"] = rows
        out = self.channels * (2 if recipe.objective.learned_variance else 1)
        unet = unet2d(recipe.network, recipe.data.size, self.channels + width, out, **options)
        return Labelled(unet, nn.Embedding(rows, width) if width else None)

    def __len__(self) -> int:
        return len(self.source)

    def inputs(self) -> str:
        return self.source.key

    def forward(self, indices: np.ndarray, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """E |F - F*|^2; each class is dropped with p_uncond (Ho and Salimans 2022, algorithm 1)."""
        x0, y = self.source.batch(indices).to(self.place.device), self._labels(self.source, indices)
        if y is not None and not isinstance(self.recipe.label, ByNothing):
            dropped = torch.rand(len(y), generator=generator) < self.recipe.label.dropout
            y = torch.where(dropped, len(self.classes), y).to(self.place.device)
        losses, t = self.objective(lambda x, t: self.answer(x, t, y), x0, generator)
        late = (t > 0.5).to(losses.device)
        parts = {"loss_noisy": losses[late], "loss_clean": losses[~late]}
        return losses.mean(), {k: v.detach().mean() for k, v in parts.items() if len(v)}

    def _labels(self, source: Dataset, indices: np.ndarray) -> Tensor | None:
        return torch.from_numpy(source.labels[indices]) if self.classes and source.labels is not None else None

    def answer(self, x: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
        return self.network(x, self.time(t).float(), y)

    def time(self, t: Tensor) -> Tensor:
        """What the network is told: its index in the table."""
        return self.schedule.index(t)

    def backbone(self, x: Tensor, time: Tensor, condition: Condition) -> Tensor:
        """The network as a denoiser calls it."""
        label = condition.get(Label)
        return self.network(x, time, None if label is None else label.ids).float()

    def denoiser(self) -> Preconditioned:
        objective = self.recipe.objective
        name, learned = objective.parameterization, objective.learned_variance
        return Preconditioned(self.backbone, self.schedule, name, self.time, learned_variance=learned)

    def draw(self, ids: Tensor | None, rows: int) -> Tensor:
        """Pictures (rows, C, H, W) of the classes `ids` (rows,), or of none, as `preview` says."""
        denoiser: Any = self.denoiser()
        condition = Condition.empty(rows)
        if ids is not None:
            condition = Condition((Label(ids, len(self.classes)),))
            denoiser = Guided(denoiser, [ClassifierFree(self.recipe.preview.guidance)])
        return self.painted(bind(denoiser, condition.to(self.place.device)), rows)

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
        dtype = DTYPES[self.recipe.export]
        save(self.network, export, self.pipeline, self.scheduler(), self.classes, dtype)
        figures = {}
        for quarter in range(4):
            total, generator = 0.0, rng.generator("measure", quarter)
            for start in range(0, len(self.test), 64):
                batch = np.arange(start, min(start + 64, len(self.test)))
                x0, y = self.test.batch(batch).to(self.place.device), self._labels(self.test, batch)
                y = None if y is None else y.to(self.place.device)
                t = (quarter + torch.rand(len(batch), generator=generator, dtype=torch.float64)) / 4
                losses = self.measure(lambda x, t, y=y: self.answer(x, t, y), x0, t, generator)
                total += float(losses.sum())
            figures[f"loss_t{quarter}"] = total / len(self.test)
        return figures

    def measure(self, network: Any, x0: Tensor, t: Tensor, generator: torch.Generator) -> Tensor:
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
