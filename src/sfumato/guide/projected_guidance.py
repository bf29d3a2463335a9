"""Adaptive projected guidance: Sadat et al. 2024."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from sfumato.condition import Condition
from sfumato.denoise import Prediction
from sfumato.element import Interval, Real, element
from sfumato.guide.guidance import Guidance, inside, touches, within
from sfumato.lazy import Tensor, torch
from sfumato.predict import expand


@element("projected", short="apg")
class ProjectedGuidance(Guidance):
    """x0 = c + (scale - 1) (d_orthogonal + eta d_parallel), d the difference c - u of the predicted pictures.

    Sadat et al. 2024, "Eliminating oversaturation and artifacts of high guidance scales", algorithm 1. Of d, the part
    parallel to c makes colours loud, the orthogonal part does the guiding. Before it is split

        d <- d + momentum d_before          negative: against the direction of the steps before
        d <- d min(1, threshold/|d|)        norms over each picture

    scale: 1 is off and costs no row. eta: 1 keeps the parallel part, 0 drops it. momentum in (-1, 1), 0 is off; the
    paper's is -0.5. threshold: None is off. With eta 1 and both off it is `ClassifierFree(scale)`, to rounding.

    The momentum is a run's own: it counts every time visited once, however often a sampler asks there, and begins anew
    where time rises (RePaint's jumps). Costs one unconditional row.
    """

    scale: Real = Field(default=5.0, ge=0, le=1000, description="a number from 0 to 1000, where 1 means off")
    eta: Real = Field(default=0.0, ge=0, le=1, description="a number from 0 to 1")
    momentum: Real = Field(default=0.0, gt=-1, lt=1, description="a number between -1 and 1, where 0 means off")
    threshold: Real | None = Field(default=None, gt=0, description="a norm above 0, or nothing for none")
    interval: Interval = (0.0, 1.0)

    @property
    def needs_null(self) -> bool:  # type: ignore[override]
        return self.scale != 1

    def fresh(self) -> _Running:
        return _Running(self)


class _Running(Guidance):
    """The guidance in one run, with the average of the differences so far: d + m d_before, of the last *other* time."""

    def __init__(self, value: ProjectedGuidance) -> None:
        self.value = value
        self.t: Tensor | None = None
        self.before: Tensor | None = None
        self.now: Tensor | None = None

    def branches(self, condition: Condition, t: Tensor) -> Mapping[str, Condition]:
        return {"unconditional": condition.null()} if self._acts(t) else {}

    def combine(self, current: Prediction, outs: Mapping[str, Prediction], x: Tensor, t: Tensor) -> Prediction:
        if not self._acts(t):
            return current
        value, u, c = self.value, outs["unconditional"].x0, outs["conditional"].x0
        d = c - u
        if value.momentum:
            d = self._averaged(d, t)
        if value.threshold is not None:
            d = d * (value.threshold / _norm(d).clamp(min=1e-12)).clamp(max=1)
        parallel = _along(d, c)
        more = within(value.interval, t, value.scale - 1, c)
        return current.moved(x0=current.x0 + more * (d - (1 - value.eta) * parallel))

    def _acts(self, t: Tensor) -> bool:
        return self.value.scale != 1 and touches(self.value.interval, t)

    def _averaged(self, d: Tensor, t: Tensor) -> Tensor:
        """The average, with a row that lies outside the interval left out of it: its time does not count."""
        t, acts = (a.expand(len(d)).to(d.device) for a in (t, torch.as_tensor(inside(self.value.interval, t))))
        if self.t is None or self.now is None or self.before is None or self.now.shape != d.shape:
            self.t, self.before, self.now = torch.full_like(t, torch.inf), torch.zeros_like(d), torch.zeros_like(d)
        before = torch.where(expand(t < self.t, d) > 0, self.now, self.before)
        before = torch.where(expand(t > self.t, d) > 0, torch.zeros_like(d), before)
        average, rows = d + self.value.momentum * before, expand(acts, d) > 0
        self.t = torch.where(acts, t, self.t)
        self.before, self.now = torch.where(rows, before, self.before), torch.where(rows, average, self.now)
        return average


def _norm(d: Tensor) -> Tensor:
    return torch.linalg.vector_norm(d, dim=tuple(range(1, d.ndim)), keepdim=True)


def _along(d: Tensor, c: Tensor) -> Tensor:
    """The part of d parallel to c, each picture by itself, in float64."""
    unit = c.double() / _norm(c.double()).clamp(min=1e-12)
    return ((d.double() * unit).sum(tuple(range(1, d.ndim)), keepdim=True) * unit).to(d.dtype)
