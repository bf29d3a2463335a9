"""Bits per dimension: what a model of pixels pays, at most, for a true picture."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sfumato.evaluate.metric import METRICS, ModelMetric
from sfumato.evaluate.statistics import Figure, mean
from sfumato.picture import BadInput

if TYPE_CHECKING:
    from sfumato.evaluate.model_samples import SampleSettings
    from sfumato.evaluate.pictures import Pictures
    from sfumato.model import Pipe

FEW = 64  # pictures whose bits are counted: every step of every one is a network call


def bits_per_dim(pipe: Pipe, settings: SampleSettings, real: Pictures, batch: int) -> tuple[Figure, str]:
    """The variational bound of the first 64 real pictures in bits per dimension, on a uniform grid of `steps` steps,
    without a class or words, and how it was taken.

    The pictures are values of 8 bits in the model's own channels: what a grey model is given of a coloured picture is
    its luma, rounded to levels. BadInput for a model of latents, which has no density of pictures.
    """
    from sfumato.denoise import bind
    from sfumato.evaluate.likelihood import variational_bound
    from sfumato.evaluate.model_samples import recipe_of
    from sfumato.evaluate.pictures import levels
    from sfumato.model import Pixel
    from sfumato.noise import KeyedNoise
    from sfumato.times import grid

    stage = pipe.stage
    if not isinstance(stage.space, Pixel):
        raise BadInput(f"bits-per-dim needs a model of pixels: {pipe.name} paints latents, not pictures.")
    times = grid("uniform", settings.steps, stage.denoiser.schedule)
    values: list[float] = []
    for start in range(0, min(FEW, len(real)), batch):
        rows = range(start, min(start + batch, FEW, len(real)))
        recipes = [pipe.resolve(replace(recipe_of(pipe, settings), label=settings.label)) for _ in rows]
        denoise = bind(stage.denoiser, stage.encode(recipes))
        noise = KeyedNoise([settings.seed + i for i in rows])
        x0 = levels(stage.space.encode(real.batch(rows)))
        values += variational_bound(denoise, x0, times, noise).total.tolist()
    return mean(values), f"bound, {settings.steps} steps"


METRICS.add(
    "bits-per-dim", ModelMetric(title="bits/dim", better="lower", source="Ho et al. 2020, eq. 5", measure=bits_per_dim)
)
