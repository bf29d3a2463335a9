"""A model of ours walked from latents that are given, as stock pipelines are with `latents=`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sfumato.model import Pipe
from sfumato.model.batch import Batch
from sfumato.sample import trajectory


def walked(pipe: Pipe, x: Tensor, prompt: str = "", times: Tensor | None = None, **options: Any) -> Tensor:
    """Where the recipe's guidance and sampler carry x on its grid, or on the given one."""
    batch = batch_of(pipe, prompt, **options)
    denoise = batch.denoise([guidance.bind(batch) for guidance in batch.recipe.guidance])
    knots = batch.times() if times is None else times
    with torch.no_grad():
        for step in trajectory(denoise, batch.recipe.sampler, x, knots, batch.noise):
            x = step.x
    return x


def batch_of(pipe: Pipe, prompt: str = "", **options: Any) -> Batch:
    recipe = pipe.resolve(pipe.recipes(prompt, **options)[0])
    assert recipe.width is not None
    assert recipe.height is not None
    size = (recipe.width, recipe.height)
    return Batch(pipe.stages[0].at(size), [recipe], size)
