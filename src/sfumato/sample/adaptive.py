"""What solvers share that choose each picture's steps by their own error."""

from __future__ import annotations

from sfumato.lazy import Tensor, torch

TOLERANCE = "a number above 0, up to 1e9"
FINEST = 2.0**-10
"""Of a step of the grid: finer tries are taken as they come."""


def size_of(error: Tensor, allowed: Tensor) -> Tensor:
    """(B,): the root mean square over a picture's values of its error in units of what is allowed; 0 of one that is
    NaN, so that it comes out."""
    return (error / allowed).flatten(1).square().mean(1).sqrt().cpu().double().nan_to_num(0.0)


def choose(rows: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """a in the rows (B,) that are chosen, b in the others."""
    return torch.where(rows.to(a.device).reshape(-1, *[1] * (a.ndim - 1)), a, b)
