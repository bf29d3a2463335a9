"""The sections of recipes in pixel space: class-conditional diffusion, score networks, classifiers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .section import Count, Fraction, Positive, Section
from .sections import Common
from .sections_objective import (
    VE,
    AnySchedule,
    Discrete,
    FreeObjective,
    Hybrid,
    MinSNR,
    Regression,
    ScoreMatching,
    Simple,
    Vlb,
    Weighting,
)

Stored = Literal["float32", "bfloat16", "float16"]


class PixelUNet(Section):
    """Shape of diffusers' UNet2DModel, level by level: channels, and whether it looks at itself (heads of `head`)."""

    channels: Annotated[tuple[Positive, ...], Field(min_length=2)] = (32, 64, 128)
    attention: tuple[bool, ...] = (False, False, True)
    head: Positive = 32
    layers: Positive = 1
    groups: Positive = 16

    @model_validator(mode="after")
    def _fits(self) -> PixelUNet:
        if len(self.attention) != len(self.channels):
            raise ValueError("channels and attention need one entry for each level")
        for c, attends in zip(self.channels, self.attention, strict=True):
            if c % self.groups or (attends and c % self.head):
                raise ValueError(f"channels {c} must be a multiple of groups and, where there is attention, of head")
        return self


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
    width: Positive = 4
    dropout: Fraction = 0.1


class ByNothing(Section):
    """Unconditional."""

    kind: Literal["none"]


class Sheet(Section):
    """A sample grid: `each` pictures of every class (`each` rows of ten where there are none), on fixed noise."""

    each: Positive = 4
    steps: Positive = 25
    guidance: Annotated[float, Field(ge=0)] = 2.0
    seed: Count = 0


class TableObjective(FreeObjective):
    """Any loss over a discrete table, which stock samplers know."""

    loss: Annotated[Regression | Vlb | Hybrid, Field(discriminator="kind")] = Regression()
    parameterization: Literal["eps", "x0", "v"] = "v"
    weighting: Weighting = MinSNR(kind="min-snr")
    schedule: Discrete = Discrete(kind="squaredcos_cap_v2")


Told = Annotated[ByTime | ByChannels | ByNothing, Field(discriminator="kind")]


class Pixels(Common):
    """Diffusion of pixels: `dropout` in `label` is p_uncond of Ho and Salimans 2022, algorithm 1."""

    task: Literal["pixels"]
    network: PixelUNet = PixelUNet()
    label: Told = ByTime()
    objective: TableObjective = TableObjective()
    preview: Sheet = Sheet()
    export: Stored = "float16"

    @model_validator(mode="after")
    def _can_be_halved(self) -> Pixels:
        halves(self.data, self.network.channels)
        return self


class ScoreObjective(FreeObjective):
    """Score matching at noise levels from sigma_max to sigma_min, weighted by sigma^2; `table` geometric ones."""

    loss: Annotated[Regression | ScoreMatching, Field(discriminator="kind")] = Regression()
    parameterization: Literal["score"] = "score"
    weighting: Weighting = Simple(kind="simple")
    schedule: VE = VE(kind="ve", sigma_max=20.0)
    table: Annotated[int, Field(ge=2)] = 40


class Annealed(Section):
    """A sample grid by annealed Langevin dynamics over the table's levels, as `sfumato.sample.Langevin` has it.

    Steps must be long enough to follow the levels: forty that fall by a fifth each need a `size` near 1.
    """

    each: Positive = 3
    repeats: Positive = 4
    size: Annotated[float, Field(gt=0, lt=4)] = 1.0
    guidance: Annotated[float, Field(ge=0)] = 1.0
    seed: Count = 0


class Ncsn(Common):
    """A noise-conditional score network (Song and Ermon 2019)."""

    task: Literal["ncsn"]
    network: PixelUNet = PixelUNet()
    label: Told = ByNothing(kind="none")
    objective: ScoreObjective = ScoreObjective()
    preview: Annealed = Annealed()
    export: Stored = "float16"

    @model_validator(mode="after")
    def _can_be_halved(self) -> Ncsn:
        halves(self.data, self.network.channels)
        return self


class ClassifierNetwork(Section):
    """Shape of `sfumato.network.classifier.Classifier`, level by level: channels and residual blocks."""

    channels: Annotated[tuple[Positive, ...], Field(min_length=1)] = (64, 128)
    blocks: tuple[Positive, ...] = (1, 2)
    groups: Positive = 8

    @model_validator(mode="after")
    def _fits(self) -> ClassifierNetwork:
        if len(self.blocks) != len(self.channels):
            raise ValueError("channels and blocks need one entry for each level")
        for c in self.channels:
            if c % self.groups:
                raise ValueError(f"channels {c} can't be split into {self.groups} groups: choose a multiple")
        return self


class ClassifierTask(Common):
    """p(y | x_t, t); with `noise: none` p(y | x0), a judge whose features can be measured with.

    `shift` moves each training picture by up to so many pixels, `mirror` mirrors half of them.
    """

    task: Literal["classifier"]
    network: ClassifierNetwork = ClassifierNetwork()
    noise: AnySchedule | Literal["none"] = Discrete(kind="squaredcos_cap_v2")
    shift: Count = 2
    mirror: bool = True
    smoothing: Fraction = 0.05
    held_back: Positive = 2000
    export: Stored = "float16"
