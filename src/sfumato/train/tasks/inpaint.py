"""A U-Net that sees the mask and the masked picture beside the noisy latents (Rombach et al. 2022, section 4.5).

Its input is [x (C), mask in cells (1), latents of the masked picture (C)]: 9 channels with Stable Diffusion's and
mini's autoencoders. Trained from a text-to-image U-Net whose first convolution is widened by zeros, so that at step 0
it is that network. The export is the folder of a StableDiffusionInpaintPipeline.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sfumato.condition import Concat
from sfumato.encode.masked_picture import masked_planes
from sfumato.network.widen import widened
from sfumato.space import Latent

from .. import masked, report
from .. import recipe as r
from . import Place, to_pixels
from .diffusion import Answer, DiffusionTask


class InpaintTask(DiffusionTask):
    pipeline = "StableDiffusionInpaintPipeline"

    def __init__(self, recipe: r.Inpaint, place: Place):
        super().__init__(recipe, place)
        self.space = Latent(self.parts["vae"])
        self.planes = masked.planes(self.source, recipe, self.space, self.folders["vae"], place)
        self.key = r.digest(self.key, recipe.masks.each)
        size = self.source.pictures.shape[1]
        with torch.no_grad():
            nothing = torch.zeros(1, 3, size, size, device=place.device)
            self.blank = masked_planes(self.space, nothing, torch.ones_like(nothing[:, :1]))

    def held_back(self) -> int:
        return self.recipe.preview.count

    def beside(self, channels: int) -> int:
        return 1 + channels

    def beginning(self, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return widened(weights, self.network.config["in_channels"])

    def told(self, rows: np.ndarray, which: list[int], dropped: Tensor, generator: torch.Generator) -> Answer:
        """One of the picture's masks, or all of it hidden."""
        answer, masks = super().told(rows, which, dropped, generator), self.recipe.masks
        number = torch.randint(masks.each, (len(rows),), generator=generator).numpy()
        everything = torch.rand(len(rows), generator=generator) < masks.everything
        planes = torch.from_numpy(self.planes[rows * masks.each + number]).to(self.blank)
        planes = torch.where(everything.to(planes.device)[:, None, None, None], self.blank, planes)
        return lambda x, t: answer(torch.cat([x, planes], dim=1), t)

    def grids(self) -> dict[str, np.ndarray]:
        """The picture, what the network is shown of it, and what it makes of that and the caption, three by three."""
        recipe, p, n = self.recipe, self.recipe.preview, len(self.others)
        pictures = self.others.batch(np.arange(n)).to(self.place.device)
        rows = range(len(self.source), len(self.source) + n)
        hidden = masked.masks(recipe.data, pictures.shape[2], recipe.seed, 1, rows).to(pictures)
        with self.place.autocast(), torch.no_grad():
            beside = Concat(masked_planes(self.space, pictures, hidden).float())
            filled = self.draw([said[0] for said in self.others.captions], 1, p.steps, p.guidance, p.seed, beside)
        shown = [to_pixels(x) for x in (pictures, pictures * (1 - hidden), filled)]
        sheet: Any = np.stack(shown, 1).reshape(-1, *shown[0].shape[1:])
        return {"filled": report.grid(sheet, 6, zoom=2)}
