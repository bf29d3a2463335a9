"""The variational bound on -log p(x0), measured term by term: Ho et al. 2020, eq. 5; Nichol & Dhariwal 2021."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor

from sfumato import bound
from sfumato.denoise import Prediction
from sfumato.noise import NoiseSource
from sfumato.picture import BadInput
from sfumato.sample import Denoise
from sfumato.schedule import noised

Variance = Literal["small", "large", "learned"]


@dataclass(frozen=True, eq=False)
class Terms:
    """-log p(x0) <= L_T + sum L_(t-1) + L_0, in bits per dimension, for each of B pictures.

    prior: L_T (B,). steps: L_(t-1) (B, T - 1), the noisiest first. decoder: L_0 (B,). times: the grid (T + 1,).
    """

    prior: Tensor
    steps: Tensor
    decoder: Tensor
    times: Tensor

    @property
    def total(self) -> Tensor:
        """The bound (B,)."""
        return self.prior + self.steps.sum(1) + self.decoder


def variational_bound(
    denoise: Denoise,
    x0: Tensor,
    times: Tensor,
    noise: NoiseSource,
    *,
    variance: Variance | None = None,
    levels: int | None = 256,
    draws: int = 1,
) -> Terms:
    """The bound of the chain that walks the grid `times`, as `DDPM(variance)` does; `draws` draws of x_t a term.

    x0: pictures (B, ...). times: any grid from t_T > 0 down to 0, so that fewer steps than the network was trained
    with are a coarser grid. noise is keyed ("bound", i, draw): a picture's terms depend on its own seed alone.
    variance: "large" (beta), with which the bound closes on continuous data as the steps become many; "small" (beta
        tilde), which is right for data of a single point and never closes on broad ones; "learned", the network's
        fraction between them. By default "learned" of a network that says its variance, else "large".
    levels: 256 for pictures of 8 bits in [-1, 1], whose L_0 is the probability of their bins (Ho et al. 2020, eq. 13);
        None for continuous data, whose L_0 is a Gaussian's density: the bound may then be negative.

    `draws` network calls a step. Raises BadInput for a variance of another name, a learned one that the network does
    not say, or a grid that does not fall to 0.
    """
    if variance is not None and variance not in get_args(Variance):
        raise BadInput(f"The bound's variance is one of {', '.join(get_args(Variance))}, not {variance!r}.")
    if len(times) < 2 or times[-1] != 0 or not bool((times.diff() < 0).all()):
        raise BadInput("The bound needs a grid of times that falls to 0, such as grid('uniform', 100, schedule).")
    schedule, terms = denoise.schedule, []
    with torch.no_grad():
        for i, (t, s) in enumerate(pairwise(times)):
            total = torch.zeros(len(x0), dtype=torch.float64, device=x0.device)
            for draw in range(draws):
                p = denoise(noised(schedule, x0, t, noise(x0, "bound", i, draw)), t)
                total += bound.term(schedule, p, x0, s, t, _fraction(p, variance), levels)
            terms.append(total / draws)
        prior = bound.prior(schedule, x0, times[0]).double()
    walked = torch.stack(terms, 1)
    return Terms(prior, walked[:, :-1], walked[:, -1], times)


def _fraction(p: Prediction, variance: Variance | None) -> Tensor | float:
    if variance is None:
        return 1.0 if p.fraction is None else p.fraction
    if variance != "learned":
        return {"small": 0.0, "large": 1.0}[variance]
    if p.fraction is None:
        raise BadInput("This network has no learned variance: measure the bound with variance small or large.")
    return p.fraction
