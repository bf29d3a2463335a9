"""Measures that need no feature network of their own: pairs of pictures, and the density of a model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sfumato.evaluate.metrics import psnr, ssim
from sfumato.evaluate.metrics.lpips import lpips
from sfumato.evaluate.painted import Asking, recipe_of
from sfumato.evaluate.pictures import Pictures
from sfumato.evaluate.statistics import Figure, mean
from sfumato.picture import BadInput

if TYPE_CHECKING:
    from sfumato.model import Pipe

FEW = 64  # pictures whose bits are counted: every step of every one is a network call
SMALLEST = 11  # a side of SSIM's window


def paired(made: Pictures, true: Pictures) -> bool:
    """Whether both sets are files of the same names: a picture and what it should be."""
    return bool(made.names) and list(made.names) == list(true.names)


def of_pairs(name: str, made: Pictures, true: Pictures, batch: int, where: str | None) -> tuple[Figure, str]:
    """The mean of "psnr", "ssim" or "lpips" over the pairs, and what it was read from."""
    if not paired(made, true):
        raise BadInput(f"{name} compares pairs, pictures of the same names in both folders: {made.name} has others.")
    if name == "ssim" and min(made.size) < SMALLEST:
        raise BadInput(f"ssim looks through windows of {SMALLEST} x {SMALLEST} pixels: the pictures are smaller.")
    network = lpips(where) if name == "lpips" else None
    measure = network or {"psnr": psnr, "ssim": ssim}[name]
    values: list[float] = []
    with torch.no_grad():
        for x, y in _pairs(made, true, batch):
            values += measure(x, y).tolist()
    return mean(values), f"lpips-{network.backbone}" if network else "pixels"


def _pairs(made: Pictures, true: Pictures, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
    for start in range(0, len(made), batch):
        rows = range(start, min(start + batch, len(made)))
        yield made.batch(rows), true.batch(rows)


def bits(pipe: Pipe, asking: Asking, true: Pictures, batch: int) -> tuple[Figure, str]:
    """The variational bound of the first 64 true pictures in bits per dimension, on a uniform grid of `steps` steps,
    without a class or words. BadInput for a model of latents, which has no density of pictures."""
    from sfumato.denoise import bind
    from sfumato.evaluate.likelihood import variational_bound
    from sfumato.model import Pixel
    from sfumato.noise import KeyedNoise
    from sfumato.times import grid

    stage = pipe.stages[-1]
    if not isinstance(stage.space, Pixel):
        raise BadInput(f"bits-per-dim needs a model of pixels: {pipe.name} paints latents, not pictures.")
    times = grid("uniform", asking.steps, stage.denoiser.schedule)
    values: list[float] = []
    for start in range(0, min(FEW, len(true)), batch):
        rows = range(start, min(start + batch, FEW, len(true)))
        recipes = [pipe.resolve(replace(recipe_of(pipe, asking), label=asking.label)) for _ in rows]
        denoise = bind(stage.denoiser, stage.encode(recipes))
        noise = KeyedNoise([asking.seed + i for i in rows])
        x0 = stage.space.encode(true.batch(rows))
        values += variational_bound(denoise, x0, times, noise).total.tolist()
    return mean(values), f"bound, {asking.steps} steps"
