"""Quantiles of the beta distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from sfumato.element import Real, element
from sfumato.lazy import torch
from sfumato.times.knots import from_indices, from_strength
from sfumato.times.time_grid import TimeGrid, at_kappas, count_of, ends_in_kappa

if TYPE_CHECKING:
    from torch import Tensor

    from sfumato.schedule import Schedule


@element("beta", label={"beta-kappa": "Beta"}, presets={"beta-kappa": {"of": "kappa"}, "beta-whole": {"whole": True}})
class BetaGrid(TimeGrid):
    """Quantiles of Beta(a, b): denser at both ends of a walk, where structure and detail are made, than in the middle.

    of="t": indices (N - 1) F^-1(1 - k/n) of a table of N, then 0: Lee et al. 2024, "Beta Sampling is All You Need";
    `whole` ones in ComfyUI's "beta", unless two were one. of="kappa": kappa_k = low + (high - low) F^-1(1 - k/(n - 1))
    in kappa = sigma/alpha, down to schedule.last, then 0: A1111's "Beta" and diffusers' `use_beta_sigmas`. Its last
    steps are many times longer in log(alpha/sigma) than those before, where solvers of high order and stochastic ones
    err: take euler or ddim. a = b = 0.6 are the paper's.
    """

    a: Real = Field(default=0.6, gt=0, le=10, description="a number above 0 and up to 10")
    b: Real = Field(default=0.6, gt=0, le=10, description="a number above 0 and up to 10")
    of: Literal["t", "kappa"] = Field(default="t", description="t or kappa")
    whole: bool = Field(default=False, description="true for whole indices, else false")

    def knots(self, steps: int, schedule: Schedule, start: float) -> Tensor:
        from scipy.special import betaincinv

        parts = steps if self.of == "t" else max(steps - 1, 1)
        shares = torch.from_numpy(betaincinv(self.a, self.b, 1 - torch.arange(steps + 1).double().numpy() / parts))
        if self.of == "t":
            count = count_of(schedule)
            indices = (count - 1) * shares[:steps]
            rounded = indices.round()
            times = from_indices(rounded if self.whole and len(rounded.unique()) == steps else indices, count)
            return from_strength(times, start) if start < 1 else times
        high, low = ends_in_kappa(schedule, start)
        return at_kappas(low + (high - low) * shares[:steps], schedule, start)
