"""The sections that every training recipe has: what can be said, in which ranges, and what holds when nothing is."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sfumato.data.dataset import Data
from sfumato.data.world import Vignettes
from sfumato.element.section import Count, Few, Fraction, Positive, Rate, Section

HeldBack = Annotated[int, Field(gt=0, le=1_000_000)]
"""How many pictures are kept from training, to measure with."""
Stored = Literal["float32", "bfloat16", "float16"]
"""The type of the exported weights."""


class Optimizer(Section):
    """AdamW (Loshchilov and Hutter 2019) with warm-up, then a constant or a cosine learning rate. bits: of the two
    means of each weight; 8 (Dettmers et al. 2022) take a quarter of the memory and need bitsandbytes, and a GPU."""

    lr: Rate = 1e-3
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup: Count = 100
    final: Fraction = 0.0
    betas: tuple[Fraction, Fraction] = (0.9, 0.99)
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    clip: Rate = 1.0
    accumulate: Few = 1
    bits: Literal[8, 32] = 32


class Averaging(Section):
    """Exponential moving average of the weights; `decay` 0 keeps the weights themselves."""

    decay: Annotated[float, Field(ge=0, lt=1)] = 0.999


class Every(Section):
    """Intervals in steps: scalars, sample grids, checkpoints."""

    log: Positive = 10
    sample: Positive = 1000
    save: Positive = 500


class Common(Section):
    """What every task has in common. `batch` is that of one process; `minutes` ends a run by the clock if sooner."""

    task: str
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)] = "run"
    data: Data = Vignettes()
    seed: Count = 0
    steps: Positive = 1000
    minutes: Annotated[float, Field(gt=0)] | None = None
    batch: Annotated[int, Field(gt=0, le=1_000_000)] = 16
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    threads: Few | None = None
    workers: Few = 2
    optimizer: Optimizer = Optimizer()
    ema: Averaging = Averaging()
    every: Every = Every()
    keep: Few = 2
