"""One stage of ours beside a stock loop: both walk from the same x, with the same noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, repeat
from typing import Any

import torch
from torch import Tensor

from sfumato.model.batch import Batch
from sfumato.noise import KeyedNoise
from sfumato.recipe import Recipe
from sfumato.sample import trajectory
from sfumato.stage import Stage

SEED = 3


def start(stage: Stage, size: tuple[int, int], rows: int = 1) -> Tensor:
    """Pure noise of a stage's shape."""
    shape = (rows, stage.space.channels, *stage.space.cells(size))
    return torch.randn(shape, generator=torch.Generator().manual_seed(7))


def walked(stage: Stage, x: Tensor, recipe: Recipe, size: tuple[int, int], before: Tensor | None = None) -> Tensor:
    """Where the recipe's guidance, sampler and grid carry x."""
    batch = Batch(stage.at(size), [recipe] * len(x), size, before)
    denoise = batch.denoise([guidance.bind(batch) for guidance in recipe.guidance])
    with torch.no_grad():
        *_, last = trajectory(denoise, recipe.sampler, x, batch.times(), KeyedNoise([SEED] * len(x)))
    return last.x


def recipe_of(stage: Stage, prompt: str = "", **options: Any) -> Recipe:
    """A recipe of what suits the stage, in four steps."""
    suits = stage.suits
    said = {"guidance": suits.guidance, "sampler": suits.sampler, "times": suits.times, "steps": 4, "seed": SEED}
    return Recipe(prompt=prompt, **said | options)


def steps(x: Tensor) -> Callable[..., Tensor]:
    """In the place of a scheduler's `randn_tensor`: the noise that our steps draw for x, one after the other."""
    index: Iterator[int] = iter(range(1000))
    noise = KeyedNoise([SEED] * len(x))
    return lambda wanted, **_: noise.at("step", next(index))(x).reshape(tuple(wanted))


def exact(scheduler: Any) -> None:
    """Gives a scheduler's table the digits that float32 has not: 1 - alpha_bar at its first index is 4e-5."""
    scheduler.alphas = 1 - scheduler.betas.double()
    scheduler.alphas_cumprod = scheduler.alphas.cumprod(0)
    scheduler.betas = scheduler.betas.double()


def in_turn(*of: tuple[Tensor, int]) -> Callable[..., Tensor]:
    """In the place of a scheduler's `randn_tensor`: the noise of so many steps for each x in turn."""
    turns: Iterator[Any] = chain.from_iterable(repeat(steps(x), times) for x, times in of)
    return lambda wanted, **options: next(turns)(wanted, **options)
