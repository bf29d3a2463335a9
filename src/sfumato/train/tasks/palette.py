"""Pictures to pictures (Saharia et al. 2022, "Palette"): one network, several tasks, told by what it sees beside x.

    E |F([x_t, y], t) - F*|^p,      y the picture made worse, p in {1, 2}          (eq. 1)

Where a task fills a hole the loss is taken in it alone (section 4), for what is not hidden is put back by a hold. The
export is the folder of `sfumato.formats.ddpm`, its network having 2C input channels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from sfumato.condition import Concat, Condition
from sfumato.denoise import bind
from sfumato.edit import Imputation
from sfumato.edit.palette import SEEN
from sfumato.element import one_of
from sfumato.element.section import Count, Few, Section
from sfumato.formats import ddpm
from sfumato.train import report, rng
from sfumato.train.degraded import degraded
from sfumato.train.objective.losses import Regression, TableObjective
from sfumato.train.task import DTYPES, batches, register, to_pixels
from sfumato.train.tasks.pixels import ByNothing, PixelDiffusion, PixelsTask, rgb

Mending = Annotated[str, one_of(SEEN)]
Quality = Annotated[int, Field(ge=1, le=100)]


class Mended(Section):
    """A sample grid: `count` pictures held back, for each task as they are seen, as they are mended, as they are."""

    count: Few = 4
    steps: Few = 20
    seed: Count = 0


class PaletteRecipe(PixelDiffusion):
    """Several tasks of picture to picture in one network (Saharia et al. 2022).

    `quality` is the range of JPEG's; `objective.loss.norm` is the paper's p. `mirror` mirrors half of the pictures.
    """

    task: Literal["palette"]
    tasks: Annotated[tuple[Mending, ...], Field(min_length=1)] = ("colourise", "inpaint", "uncrop", "restore")
    quality: tuple[Quality, Quality] = (5, 30)
    mirror: bool = True
    label: ByNothing = ByNothing(kind="none")
    objective: TableObjective = TableObjective()
    preview: Mended = Mended()

    @model_validator(mode="after")
    def _fits(self) -> PaletteRecipe:
        if not isinstance(self.objective.loss, Regression):
            raise ValueError(f"palette learns by the loss regression (norm 1 or 2), not {self.objective.loss.kind}")
        if self.quality[0] > self.quality[1]:
            raise ValueError(f"quality goes from low to high, not from {self.quality[0]} to {self.quality[1]}")
        return self


@register
class PaletteTask(PixelsTask):
    section = PaletteRecipe

    def build(self, planes: int, **options: Any) -> Any:
        return super().build(self.channels, **options)

    def forward(self, indices: np.ndarray, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        recipe = self.recipe
        x0 = self.train_set.batch(indices)
        if recipe.mirror:
            flipped = torch.rand(len(x0), generator=generator) < 0.5
            x0 = torch.where(flipped[:, None, None, None], x0.flip(3), x0)
        tasks = [recipe.tasks[i] for i in torch.randint(len(recipe.tasks), (len(x0),), generator=generator).tolist()]
        y, where = degraded(x0, tasks, recipe.quality, int(torch.randint(2**62, (1,), generator=generator)))
        losses, _ = self.objective(self.told(self.seeing(y)), x0.to(self.place.device), generator, where)
        parts = {f"loss_{task}": losses[[task == other for other in tasks]] for task in recipe.tasks}
        return losses.mean(), {name: part.detach().mean() for name, part in parts.items() if len(part)}

    def seeing(self, y: Tensor) -> Condition:
        return Condition((Concat(y.to(self.place.device)),))

    def mended(self, true: Tensor, y: Tensor, where: Tensor) -> Tensor:
        """Pictures that the network makes of what it sees, held to the true ones but where it paints."""
        hold = Imputation(where).bind(true, self.schedule)
        return self.painted(bind(self.denoiser, self.seeing(y)), len(y), hold)

    def grids(self) -> dict[str, np.ndarray]:
        """Three rows a task: as it is seen, as it is mended, as it is."""
        recipe, count = self.recipe, min(self.recipe.preview.count, len(self.test_set))
        true = self.test_set.batch(np.arange(count))
        worse = [degraded(true, [task] * count, recipe.quality, "preview", task) for task in recipe.tasks]
        rows = []
        with self.place.autocast():
            for y, where in worse:
                mended = self.mended(*(part.to(self.place.device) for part in (true, y, where)))
                rows += [y, mended.float().cpu(), true]
        return {"samples": report.grid(rgb(to_pixels(torch.cat(rows))), count, zoom=2)}

    def finish(self, export: Path) -> dict[str, float]:
        """Saves the folder; the loss of each task on pictures held back, with fixed noise and times."""
        recipe = self.recipe
        unet, dtype = self.network["unet"], DTYPES[recipe.export]
        ddpm.write(export, unet, self.scheduler(), self.pipeline, dtype=dtype, tasks=recipe.tasks)
        return {f"loss_{task}": self._loss(task) for task in recipe.tasks}

    def _loss(self, task: str) -> float:
        total, generator = 0.0, rng.generator("measure", task)
        for rows in batches(len(self.test_set)):
            x0 = self.test_set.batch(rows)
            y, where = degraded(x0, [task] * len(x0), self.recipe.quality, "measure", task, int(rows[0]))
            t = torch.rand(len(x0), generator=generator, dtype=torch.float64)
            network, x0 = self.told(self.seeing(y)), x0.to(self.place.device)
            total += float(self.objective.at(network, x0, t, generator, where).sum())
        return total / len(self.test_set)
