"""Adaptive projected guidance: Sadat et al. 2024."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sfumato.condition import Condition
from sfumato.denoise import Prediction
from sfumato.guide.interval import ALWAYS, Interval, check, inside, touches
from sfumato.picture import BadInput
from sfumato.predict import expand


@dataclass(frozen=True, eq=False)
class ProjectedGuidance:
    """x0 = c + (scale - 1) (d_orthogonal + eta d_parallel), d the difference c - u of the predicted pictures.

    Sadat et al. 2024, "Eliminating oversaturation and artifacts of high guidance scales", algorithm 1. Of d, the part
    parallel to c makes colours loud, the orthogonal part does the guiding. Before it is split

        d <- d + momentum d_before          negative: against the direction of the steps before
        d <- d min(1, threshold/|d|)        norms over each picture

    scale: 1 is off and costs no row. eta: 1 keeps the parallel part, 0 drops it. momentum in (-1, 1), 0 is off.
    threshold: infinite is off. With eta 1 and both off it is `ClassifierFree(scale)`, to rounding.

    One is made for each run: it keeps the momentum, which counts every time visited once, however often a sampler
    asks there, and begins anew where time rises (RePaint's jumps). Costs one unconditional row.
    """

    scale: float = 5.0
    eta: float = 0.0
    momentum: float = 0.0
    threshold: float = math.inf
    interval: Interval = ALWAYS
    _memory: _Memory = field(default_factory=lambda: _Memory(), repr=False)

    def __post_init__(self) -> None:
        check(self.interval)
        if not -1 < self.momentum < 1:
            raise BadInput(f"The momentum of projected guidance lies between -1 and 1, both left out: {self.momentum}.")
        if not self.threshold > 0:
            raise BadInput(f"The threshold of projected guidance is a norm above 0, not {self.threshold}.")

    def branches(self, condition: Condition, t: Tensor) -> Mapping[str, Condition]:
        return {"unconditional": condition.null()} if self._acts(t) else {}

    def combine(self, current: Prediction, outs: Mapping[str, Prediction], x: Tensor, t: Tensor) -> Prediction:
        if not self._acts(t):
            return current
        u, c = outs["unconditional"].x0, outs["conditional"].x0
        d = c - u
        if self.momentum:
            d = self._memory.averaged(d, t, self.momentum, inside(self.interval, t))
        d = d * (self.threshold / _norm(d).clamp(min=1e-12)).clamp(max=1)
        parallel = _along(d, c)
        more = expand(torch.where(inside(self.interval, t), self.scale - 1, 0.0), c) if t.ndim else self.scale - 1
        return current.moved(x0=current.x0 + more * (d - (1 - self.eta) * parallel))

    def _acts(self, t: Tensor) -> bool:
        return self.scale != 1 and touches(self.interval, t)


class _Memory:
    """The running average d + m d_before, with d_before that of the last *other* time; rows that don't act keep it."""

    def __init__(self) -> None:
        self.t: Tensor | None = None
        self.before: Tensor | None = None
        self.now: Tensor | None = None

    def averaged(self, d: Tensor, t: Tensor, momentum: float, acts: Tensor) -> Tensor:
        t, acts = (a.expand(len(d)).to(d.device) for a in (t, acts))
        if self.t is None or self.now is None or self.before is None or self.now.shape != d.shape:
            self.t, self.before, self.now = torch.full_like(t, torch.inf), torch.zeros_like(d), torch.zeros_like(d)
        before = torch.where(expand(t < self.t, d) > 0, self.now, self.before)
        before = torch.where(expand(t > self.t, d) > 0, torch.zeros_like(d), before)
        average, rows = d + momentum * before, expand(acts, d) > 0
        self.t = torch.where(acts, t, self.t)
        self.before, self.now = torch.where(rows, before, self.before), torch.where(rows, average, self.now)
        return average


def _norm(d: Tensor) -> Tensor:
    return torch.linalg.vector_norm(d, dim=tuple(range(1, d.ndim)), keepdim=True)


def _along(d: Tensor, c: Tensor) -> Tensor:
    """The part of d parallel to c, each picture by itself, in float64."""
    unit = c.double() / _norm(c.double()).clamp(min=1e-12)
    return ((d.double() * unit).sum(tuple(range(1, d.ndim)), keepdim=True) * unit).to(d.dtype)
