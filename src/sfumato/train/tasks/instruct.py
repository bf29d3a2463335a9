"""InstructPix2Pix: Brooks et al. 2023, "InstructPix2Pix: Learning to Follow Image Editing Instructions".

A text-to-image U-Net, widened by zeros, sees the latents of the picture that is to be changed beside the noise, and is
told an instruction instead of a caption. Words, picture and both are left out now and then (section 3.2.1), so that
each guides with a scale of its own. The pictures of the data are the changed ones, their captions the instructions:
edits of the built-in world (`data: {kind: instructions}`), or a folder in which the key `text` is the instruction and
the picture as it was before stands beside (`given`). The export is the folder of a
StableDiffusionInstructPix2PixPipeline.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from sfumato.condition import Concat, Condition, Text
from sfumato.data.array_cache import digest
from sfumato.data.dataset import Dataset
from sfumato.data.folder import Beside, Folder
from sfumato.data.instructed import Instructed
from sfumato.element.section import Count, Few, Section
from sfumato.guide import Instruct
from sfumato.picture import BadInput
from sfumato.train import report
from sfumato.train.dropping import Dropout
from sfumato.train.encodings import latents
from sfumato.train.hyperparameters import HeldBack
from sfumato.train.task import Place, register, to_pixels
from sfumato.train.tasks.diffusion import DiffusionTask, LatentDiffusion


class Instructions(Section):
    """A sample grid: `count` pictures held back, each before, after, and as the network changes it."""

    count: Few = 8
    steps: Few = 20
    guidance: Annotated[float, Field(ge=0)] = 4.0
    image_guidance: Annotated[float, Field(ge=0)] = 1.5
    seed: Count = 0


class InstructRecipe(LatentDiffusion):
    """`begin` goes on from a text-to-image U-Net, widened, or from one that obeys instructions."""

    task: Literal["instruct"]
    given: Beside | None = None
    dropout: Dropout = Dropout()  # type: ignore[assignment]
    held_back: HeldBack = 128
    preview: Instructions = Instructions()


@register
class InstructTask(DiffusionTask):
    section = InstructRecipe
    pipeline = "StableDiffusionInstructPix2PixPipeline"

    def __init__(self, recipe: InstructRecipe, place: Place):
        super().__init__(recipe, place, recipe.held_back)
        self.before = before(recipe, len(self.test_set), place)
        encode = partial(latents, network=self.space.autoencoder, folder=self.folders["vae"], place=place)
        self.planes, self.test_planes = (encode(source) for source in self.before)
        self.tested = encode(self.test_set)
        self.key = digest(self.key, self.before[0].key)

    def beside(self, channels: int) -> int:
        return channels

    def tells_words(self) -> bool:
        return self.recipe.dropout.words + self.recipe.dropout.both < 1

    def dropped(self, n: int, generator: torch.Generator) -> Tensor:
        return self.recipe.dropout.without_words(n, generator)

    def condition(self, rows: np.ndarray, which: list[int], dropped: Tensor, generator: torch.Generator) -> Condition:
        """Besides the instruction the latents of the picture before, neither scaled nor shifted; zeros where it is left
        out."""
        blank = self.recipe.dropout.without_picture(dropped, generator).to(self.place.device)
        planes = self._planes(self.planes, rows)
        planes = torch.where(blank[:, None, None, None], torch.zeros_like(planes), planes)
        return super().condition(rows, which, dropped, generator).adding(Concat(planes))

    def _planes(self, array: np.ndarray, rows: np.ndarray) -> Tensor:
        return torch.from_numpy(array[rows]).float().to(self.place.device)

    def grids(self) -> dict[str, np.ndarray]:
        """Before, after, and what the network makes of the first by the instruction, three by three."""
        p = self.recipe.preview
        rows = np.arange(min(p.count, len(self.test_set)))
        said = [self.test_set.captions[i][0] for i in rows]
        with self.place.autocast(), torch.no_grad():
            planes = Concat(self._planes(self.test_planes, rows))
            made = to_pixels(self.draw(said, 1, p.steps, Instruct(p.guidance, p.image_guidance), p.seed, planes))
        sheet: Any = np.stack([self.before[1].pictures[rows], self.test_set.pictures[rows], made], 1)
        return {"edited": report.grid(sheet.reshape(-1, *made.shape[1:]), 6, zoom=2)}

    def finish(self, export: Path) -> dict[str, float]:
        """Besides the model: the loss of held-back edits, told all that belongs to each, the instruction of another, or
        shown the picture of another, by the same noise; and the share of edits that their own instruction suits better
        than another's."""
        super().finish(export)
        ways = {"right": (0, 0), "wrong_words": (1, 0), "wrong_picture": (0, 1)}
        with self.place.autocast():
            each = {
                name: report.each_by_quarter(partial(self._tested, *shifts), len(self.test_set)).mean(0)
                for name, shifts in ways.items()
            }
        found = {f"loss_{name}": float(losses.mean()) for name, losses in each.items()}
        return found | {"obeyed": float((each["right"] < each["wrong_words"]).mean())}

    def _tested(self, words: int, picture: int, rows: np.ndarray, quarter: int, generator: torch.Generator) -> Tensor:
        """The loss of held-back edits, told the words and shown the picture of those so many further on."""
        n = len(self.test_set)
        said = self.captions.encode([self.test_set.captions[i][0] for i in (rows + words) % n])
        condition = Condition((Text(said), Concat(self._planes(self.test_planes, (rows + picture) % n))))
        x0 = (self._planes(self.tested, rows) - self.space.shift) * self.space.scale
        return self.objective.at(self.told(condition), x0, report.times_in(quarter, len(rows), generator), generator)


def before(recipe: InstructRecipe, held_back: int, place: Place) -> tuple[Dataset, Dataset]:
    """The pictures before they were changed, to train on and held back."""
    data = recipe.data
    if isinstance(data, Instructed):
        return data.before(held_back, place.cache, recipe.workers)
    if isinstance(data, Folder) and recipe.given is not None:
        return data.beside(recipe.given, held_back, place.cache, recipe.workers)
    raise BadInput(
        "instruct needs pictures before and after: data of kind 'instructions', or a folder with 'given', which says "
        "where the pictures before stand"
    )
