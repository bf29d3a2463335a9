"""A text-conditional U-Net of pixels, which it sees in patches of P x P (Luhman & Luhman 2022).

The export is that of `diffusion` without vae/, its network having P^2 C channels, and with patches/.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator
from torch import Tensor

from sfumato.train.task import Place, register
from sfumato.train.tasks.diffusion import DiffusionTask, Preview, TextDiffusion, UNet

ENDS = ("conv_in.", "conv_out.")


class TextPixelsRecipe(TextDiffusion):
    """Of pixels, in patches of `patch` by `patch`. Of a `begin` that saw latents, all but its two ends are taken."""

    task: Literal["text-pixels"]
    patch: Annotated[int, Field(ge=1, le=16)] = 4
    network: UNet = UNet()
    preview: Preview = Preview()

    @model_validator(mode="after")
    def _fits(self) -> TextPixelsRecipe:
        size, multiple = self.data.size, self.patch * 2 ** (len(self.network.channels) - 1)
        if size % multiple:
            raise ValueError(f"data.size {size} does not suit these patches: choose a multiple of {multiple}")
        return self


@register
class TextPixelsTask(DiffusionTask):
    section = TextPixelsRecipe
    pipeline = "DiffusionPipeline"

    def __init__(self, recipe: TextPixelsRecipe, place: Place):
        self.patch = recipe.patch
        super().__init__(recipe, place)

    def trained(self) -> dict[str, Path]:
        return {}

    def open_space(self) -> tuple[int, int, int]:
        side = self.recipe.data.size
        return 3, side, side

    def clean(self, rows: np.ndarray) -> Tensor:
        return self.train_set.batch(rows)

    def decode(self, x: Tensor) -> Tensor:
        return x

    def beginning(self, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The weights, and where the shapes of its ends differ this network's own."""
        own = self.network.state_dict()
        ends = {name for name in own if name.startswith(ENDS) and own[name].shape != weights[name].shape}
        return {**weights, **{name: own[name] for name in ends}}
