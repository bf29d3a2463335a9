"""Score matching without a target: what integration by parts makes of the Fisher divergence.

For data of density p, up to a constant that no parameter changes,

    E |s - grad log p|^2/2 = E[ |s|^2/2 + tr ds/dx ]                    Hyvarinen 2005, theorem 1
    E_v E (v's - v'grad log p)^2/2 = E_v E[ (v's)^2/2 + v' ds/dx v ]    Song et al. 2019, "Sliced score matching"

with random v, E[v v'] = I. Here v is of signs (Rademacher), for which v'J v has the least variance. Each function
takes a score (B, ...) -> (B, ...) whose rows don't know of each other, and answers a number a row, with a gradient.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Score = Callable[[Tensor], Tensor]


def exact(score: Score, x: Tensor, signs: Tensor | None = None) -> Tensor:
    """|s|^2/2 + tr ds/dx: one backward pass an element of a row, and no signs."""
    x, s = _traced(score, x)
    trace = torch.zeros(len(x), dtype=s.dtype, device=s.device)
    for k in range(s[0].numel()):
        trace = trace + _pulled(s, x, _axis(s, k)).flatten(1)[:, k]
    return s.square().flatten(1).sum(1) / 2 + trace


def hutchinson(score: Score, x: Tensor, signs: Tensor) -> Tensor:
    """|s|^2/2 + the mean over v of v' ds/dx v: `exact` with Hutchinson's estimate of the trace, which Song et al. 2019
    call sliced score matching with reduced variance (SSM-VR). signs (M, B, ...)."""
    x, s = _traced(score, x)
    bent = torch.stack([_dot(_pulled(s, x, v), v) for v in signs]).mean(0)
    return s.square().flatten(1).sum(1) / 2 + bent


def sliced(score: Score, x: Tensor, signs: Tensor) -> Tensor:
    """The mean over v of (v's)^2/2 + v' ds/dx v (SSM). signs (M, B, ...)."""
    x, s = _traced(score, x)
    return torch.stack([_dot(s, v).square() / 2 + _dot(_pulled(s, x, v), v) for v in signs]).mean(0)


TRACES: dict[str, Callable[[Score, Tensor, Tensor], Tensor]] = {
    "full": exact,
    "hutchinson": hutchinson,
    "sliced": sliced,
}


def draw_signs(x: Tensor, projections: int, generator: torch.Generator) -> Tensor:
    """Directions of +1 and -1, (projections, *x.shape)."""
    return (torch.randint(2, (projections, *x.shape), generator=generator) * 2 - 1).to(x)


def _traced(score: Score, x: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        return x, score(x)


def _pulled(s: Tensor, x: Tensor, v: Tensor) -> Tensor:
    """v' ds/dx, row by row."""
    with torch.enable_grad():
        return torch.autograd.grad(_dot(s, v).sum(), x, create_graph=True)[0]


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).flatten(1).sum(1)


def _axis(s: Tensor, k: int) -> Tensor:
    v = torch.zeros_like(s).flatten(1)
    v[:, k] = 1
    return v.reshape(s.shape)
