"""A model of ours walked from latents that are given, as stock pipelines are with `latents=`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sfumato.model import Pipe
from sfumato.model.batch import Batch
from sfumato.sample import trajectory


def walked(pipe: Pipe, x: Tensor, prompt: str = "", knots: Tensor | None = None, **options: Any) -> Tensor:
    """Where the recipe's guidance and sampler carry x on its grid, or on the given one."""
    batch = batch_of(pipe, prompt, **options)
    denoise = batch.denoise([guidance.bind(batch) for guidance in batch.recipe.guidance])
    with torch.no_grad():
        for step in trajectory(
            denoise, batch.recipe.sampler, x, batch.times() if knots is None else knots, batch.noise
        ):
            x = step.x
    return x


def batch_of(pipe: Pipe, prompt: str = "", **options: Any) -> Batch:
    recipe = pipe.resolve(pipe.recipes(prompt, **options)[0])
    size = (recipe.width or 0, recipe.height or 0)
    return Batch(pipe.stages[0].at(size), [recipe], size)
