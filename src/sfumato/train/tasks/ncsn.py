"""A noise-conditional score network: denoising score matching over geometric noise levels (Song and Ermon 2019).

    E_sigma E |sigma s(x0 + sigma z, sigma) + z|^2          (eq. 5 and 6, lambda = sigma^2)

The export is the folder of `sfumato.formats.score_sde`: the network has Fourier features of log sigma, is told sigma
itself, and answers the score (it divides by sigma).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from sfumato.element.section import Count, Few, Named, Section
from sfumato.formats.scheduler_config import geometric_config
from sfumato.sample import Sampler
from sfumato.sample.langevin import Langevin
from sfumato.times import UniformGrid
from sfumato.train.objective import Network
from sfumato.train.objective.losses import FreeObjective, Regression, ScoreMatching
from sfumato.train.objective.noise import VENoise
from sfumato.train.objective.weighting import Simple, Weighting
from sfumato.train.task import register
from sfumato.train.tasks.pixels import ByNothing, PixelDiffusion, PixelsTask, Told

FOURIER = 1 / 16  # diffusers draws the frequencies 16 wide, for thousands of levels; log sigma spans about 7


class ScoreObjective(FreeObjective):
    """Score matching at noise levels from sigma_max to sigma_min, weighted by sigma^2; `table` geometric ones."""

    loss: Annotated[Regression | ScoreMatching, Field(discriminator="kind"), Named] = Regression()
    parameterization: Literal["score"] = "score"
    weighting: Weighting = Simple(kind="simple")
    schedule: Annotated[VENoise, Named] = VENoise(kind="ve", sigma_max=20.0)
    table: Annotated[int, Field(ge=2, le=100_000)] = 40


class Annealed(Section):
    """A sample grid by annealed Langevin dynamics over the table's levels, as `sfumato.sample.Langevin` has it.

    Steps must be long enough to follow the levels: forty that fall by a fifth each need a `size` near 1.
    """

    each: Few = 3
    repeats: Few = 4
    size: Annotated[float, Field(gt=0, lt=4)] = 1.0
    guidance: Annotated[float, Field(ge=0)] = 1.0
    seed: Count = 0


class NcsnRecipe(PixelDiffusion):
    """A noise-conditional score network (Song and Ermon 2019)."""

    task: Literal["ncsn"]
    label: Told = ByNothing(kind="none")
    objective: ScoreObjective = ScoreObjective()
    preview: Annealed = Annealed()


@register
class NcsnTask(PixelsTask):
    section = NcsnRecipe
    pipeline = "ScoreSdeVePipeline"

    def build(self, planes: int, **options: Any) -> Any:
        unet = super().build(planes, time_embedding_type="fourier", **options)
        with torch.no_grad():
            unet.get_parameter("time_proj.weight").mul_(FOURIER)
        return unet

    def time(self, t: Tensor) -> Tensor:
        """The network is told sigma."""
        return self.schedule(t)[1].to(t.device)

    def walk(self) -> tuple[Sampler, Tensor]:
        """Annealed Langevin dynamics over the geometric levels (Song and Ermon 2019, algorithm 1)."""
        p = self.recipe.preview
        return Langevin(p.repeats, p.size), UniformGrid()(self.recipe.objective.table, self.schedule)

    def scheduler(self) -> dict[str, object]:
        return geometric_config(self.recipe.objective)

    def measure(self, network: Network, x0: Tensor, t: Tensor, generator: torch.Generator) -> Tensor:
        """sigma^2 |s - s*|^2."""
        eps = torch.randn(x0.shape, generator=generator).to(x0)
        return self.objective.losses(network, x0, eps, t, generator)
