"""A U-Net that sees the mask and the masked picture beside the noisy latents (Rombach et al. 2022, section 4.5).

Its input is [x (C), mask in cells (1), latents of the masked picture (C)]: 9 channels with Stable Diffusion's and
mini's autoencoders. Trained from a text-to-image U-Net whose first convolution is widened by zeros, so that at step 0
it is that network. The export is the folder of a StableDiffusionInpaintPipeline.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from sfumato.condition import Concat, Condition
from sfumato.data import masks as drawn
from sfumato.data import vignettes
from sfumato.data.array_cache import digest
from sfumato.data.dataset import Dataset
from sfumato.data.world import Vignettes
from sfumato.element.section import Count, Few, Fraction, Section
from sfumato.encode.masked_picture import masked_planes
from sfumato.space import Latent
from sfumato.train import report
from sfumato.train.encodings import encoded, fingerprint
from sfumato.train.hyperparameters import HeldBack
from sfumato.train.task import Place, register, to_pixels
from sfumato.train.tasks.diffusion import DiffusionTask, LatentDiffusion


class Masks(Section):
    """`each` masks a picture are drawn and encoded before training. `everything` is how often all is hidden instead:
    then the network learns text to image."""

    each: Few = 2
    everything: Fraction = 0.15


class Filled(Section):
    """A sample grid: `count` pictures held back, each beside itself with a hole and with the hole filled."""

    count: Few = 8
    steps: Few = 20
    guidance: Annotated[float, Field(ge=0)] = 4.0
    seed: Count = 0


class InpaintRecipe(LatentDiffusion):
    """`begin` goes on from a text-to-image U-Net, widened, or from one that inpaints. `held_back` pictures are shown in
    the sample grids, at most `preview.count` of them."""

    task: Literal["inpaint"]
    masks: Masks = Masks()
    held_back: HeldBack = 8
    preview: Filled = Filled()


@register
class InpaintTask(DiffusionTask):
    section = InpaintRecipe
    pipeline = "StableDiffusionInpaintPipeline"

    def __init__(self, recipe: InpaintRecipe, place: Place):
        super().__init__(recipe, place, recipe.held_back)
        self.planes = masked_latents(self.train_set, recipe, self.space, self.folders["vae"], place)
        self.key = digest(self.key, recipe.masks.each)
        size = self.train_set.pictures.shape[1]
        with torch.no_grad():
            nothing = torch.zeros(1, 3, size, size, device=place.device)
            self.blank = masked_planes(self.space, nothing, torch.ones_like(nothing[:, :1]))

    def beside(self, channels: int) -> int:
        return 1 + channels

    def condition(self, rows: np.ndarray, which: list[int], dropped: Tensor, generator: torch.Generator) -> Condition:
        """Besides the caption one of the picture's masks, or all of it hidden."""
        masks = self.recipe.masks
        number = torch.randint(masks.each, (len(rows),), generator=generator).numpy()
        everything = torch.rand(len(rows), generator=generator) < masks.everything
        planes = torch.from_numpy(self.planes[rows * masks.each + number]).to(self.blank)
        planes = torch.where(everything.to(planes.device)[:, None, None, None], self.blank, planes)
        return super().condition(rows, which, dropped, generator).adding(Concat(planes))

    def grids(self) -> dict[str, np.ndarray]:
        """The picture, what the network is shown of it, and what it makes of that and the caption, three by three."""
        recipe, p = self.recipe, self.recipe.preview
        n = min(p.count, len(self.test_set))
        pictures = self.test_set.batch(np.arange(n)).to(self.place.device)
        rows = range(len(self.train_set), len(self.train_set) + n)
        hidden = masks(recipe.data, pictures.shape[2], recipe.seed, 1, rows).to(pictures)
        with self.place.autocast(), torch.no_grad():
            beside = Concat(masked_planes(self.space, pictures, hidden).float())
            filled = self.draw([said[0] for said in self.test_set.captions[:n]], 1, p.steps, p.guidance, p.seed, beside)
        shown = [to_pixels(x) for x in (pictures, pictures * (1 - hidden), filled)]
        sheet: Any = np.stack(shown, 1).reshape(-1, *shown[0].shape[1:])
        return {"filled": report.grid(sheet, 6, zoom=2)}


def masks(data: object, size: int, seed: int, each: int, rows: range) -> Tensor:
    """Masks of the pictures `rows`, `each` of them after one another: (len(rows) * each, 1, S, S), 1 = hidden.

    Of vignettes some are shaped by the things in the picture.
    """
    many = [drawn.draw(seed, row * each + k, size, _things(data, row, size)) for row in rows for k in range(each)]
    return torch.from_numpy(np.stack(many)[:, None]).float()


def _things(data: object, row: int, size: int) -> drawn.Things | None:
    if not isinstance(data, Vignettes):
        return None
    return partial(drawn.things, vignettes.scene(data.seed, data.first + row, data.split), size)


def masked_latents(source: Dataset, recipe: InpaintRecipe, space: Latent, folder: Path, place: Place) -> np.ndarray:
    """`masked_planes` of `each` masks a picture, float16 (n * each, 1 + C, h, w); picture i's begin at i * each."""
    each, size = recipe.masks.each, source.pictures.shape[1]

    def encode(start: int, stop: int) -> Tensor:
        rows = range(start // each, -(-stop // each))
        hidden = masks(recipe.data, size, recipe.seed, each, rows).to(place.device)
        pictures = source.batch(np.array(rows)).repeat_interleave(each, 0).to(place.device)
        return masked_planes(space, pictures, hidden)

    code = Path(drawn.__file__).read_text(encoding="utf-8")
    of = source.key, fingerprint(folder), recipe.seed, each, code
    return encoded(place, "masked", "planes", of, encode, len(source) * each, 64 * each)
