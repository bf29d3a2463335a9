"""A noise-conditional score network: denoising score matching over geometric noise levels (Song and Ermon 2019).

    E_sigma E |sigma s(x0 + sigma z, sigma) + z|^2          (eq. 5 and 6, lambda = sigma^2)

The export is the folder of `pixels` in the format of diffusers' score-SDE pipelines: unet/ is a UNet2DModel with
Fourier features of log sigma, told sigma itself, whose answer unet(x, sigma) is the score (it divides by sigma);
scheduler/ a ScoreSdeVeScheduler with sigma_min, sigma_max and num_train_timesteps, the number of levels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sfumato.sample import Sampler
from sfumato.sample.langevin import Langevin
from sfumato.times import UniformGrid

from .pixels import Labelled, PixelsTask

FOURIER = 1 / 16  # diffusers draws the frequencies 16 wide, for thousands of levels; log sigma spans about 7


class NcsnTask(PixelsTask):
    pipeline = "ScoreSdeVePipeline"

    def build(self, **options: Any) -> Labelled:
        network = super().build(time_embedding_type="fourier", **options)
        with torch.no_grad():
            network.unet.get_parameter("time_proj.weight").mul_(FOURIER)
        return network

    def time(self, t: Tensor) -> Tensor:
        """The network is told sigma."""
        return self.schedule(t)[1].to(t.device)

    def walk(self) -> tuple[Sampler, Tensor]:
        """Annealed Langevin dynamics over the geometric levels (Song and Ermon 2019, algorithm 1)."""
        p = self.recipe.preview
        return Langevin(p.repeats, p.size), UniformGrid()(self.recipe.objective.table, self.schedule)

    def scheduler(self) -> dict[str, object]:
        objective = self.recipe.objective
        return {
            "_class_name": "ScoreSdeVeScheduler",
            "num_train_timesteps": objective.table,
            "sigma_min": objective.schedule.sigma_min,
            "sigma_max": objective.schedule.sigma_max,
        }

    def measure(self, network: Any, x0: Tensor, t: Tensor, generator: torch.Generator) -> Tensor:
        """sigma^2 |s - s*|^2."""
        eps = torch.randn(x0.shape, generator=generator).to(x0)
        return self.objective.losses(network, x0, eps, t, generator)
