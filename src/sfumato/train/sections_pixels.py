"""The sections of recipes in pixel space: class-conditional diffusion, score networks, classifiers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .section import Count, Fraction, Positive, Rate, Section
from .sections import Common
from .sections_objective import AnySchedule, Discrete, Objective

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


def _halves(data: object, channels: tuple[int, ...]) -> None:
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


class Pixels(Common):
    """Diffusion of pixels: `dropout` in `label` is p_uncond of Ho and Salimans 2022, algorithm 1."""

    task: Literal["pixels"]
    network: PixelUNet = PixelUNet()
    label: Annotated[ByTime | ByChannels | ByNothing, Field(discriminator="kind")] = ByTime()
    objective: Objective = Objective()
    preview: Sheet = Sheet()
    export: Stored = "float16"

    @model_validator(mode="after")
    def _can_be_halved(self) -> Pixels:
        _halves(self.data, self.network.channels)
        return self


class Sigmas(Section):
    """A geometric sequence of `count` noise levels from `largest` to `smallest`."""

    smallest: Rate = 0.01
    largest: Rate = 20.0
    count: Annotated[int, Field(ge=2)] = 40

    @model_validator(mode="after")
    def _falls(self) -> Sigmas:
        if self.smallest >= self.largest:
            raise ValueError(f"smallest ({self.smallest}) must be below largest ({self.largest})")
        return self


class Langevin(Section):
    """A sample grid by annealed Langevin dynamics: `steps` at each noise level, step size `rate` (sigma/smallest)^2."""

    count: Positive = 20
    steps: Positive = 5
    rate: Rate = 6e-6
    seed: Count = 0


class Ncsn(Common):
    """A noise-conditional score network (Song and Ermon 2019, 2020)."""

    task: Literal["ncsn"]
    network: PixelUNet = PixelUNet()
    sigmas: Sigmas = Sigmas()
    preview: Langevin = Langevin()
    export: Stored = "float16"

    @model_validator(mode="after")
    def _can_be_halved(self) -> Ncsn:
        _halves(self.data, self.network.channels)
        return self


class ClassifierNetwork(Section):
    """Shape of `sfumato.nn.classifier.Classifier`, level by level: channels and residual blocks."""

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
