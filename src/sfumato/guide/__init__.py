"""Guidance: a guided denoiser is again a denoiser.

`Guided(denoiser, [g1, g2])` asks every guidance which branches of the condition it needs, makes ONE network call on
the rows of all of them, and lets the guidances combine the answers in the order written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from torch import Tensor

from sfumato.condition import Condition
from sfumato.denoise import Denoiser, Prediction
from sfumato.guide.classifier_free import ClassifierFree
from sfumato.guide.threshold import DynamicThreshold, StaticThreshold
from sfumato.schedule import Schedule

__all__ = ["ClassifierFree", "DynamicThreshold", "Guidance", "Guided", "StaticThreshold"]


class Guidance(Protocol):
    """One way to move a prediction. A fresh one for every run: it may keep momentum, updated once a step."""

    def branches(self, condition: Condition, t: Tensor) -> Mapping[str, Condition]:
        """Further conditions it needs answers for at t; branches of one name are shared between guidances."""
        ...

    def combine(self, current: Prediction, outs: Mapping[str, Prediction], x: Tensor, t: Tensor) -> Prediction:
        """The moved prediction. `current` is what the guidances before it left; outs["conditional"] the plain one."""
        ...


class Guided:
    """A denoiser moved by guidances, applied in order. Without branches the denoiser is called as it stands.

    The union of branches is kept while the condition and the names stay the same, so that a step copies no embeddings.
    """

    def __init__(self, denoiser: Denoiser, guidances: Sequence[Guidance]) -> None:
        self.denoiser = denoiser
        self.guidances = tuple(guidances)
        self._union: tuple[Condition, tuple[str, ...], Condition] | None = None

    @property
    def schedule(self) -> Schedule:
        return self.denoiser.schedule

    def __call__(self, x: Tensor, t: Tensor, condition: Condition) -> Prediction:
        outs = self._answers(x, t, condition)
        current = outs["conditional"]
        for guidance in self.guidances:
            current = guidance.combine(current, outs, x, t)
        return current

    def _answers(self, x: Tensor, t: Tensor, condition: Condition) -> dict[str, Prediction]:
        now = condition.at(t)
        branches = {"conditional": now}
        for guidance in self.guidances:
            for name, branch in guidance.branches(now, t).items():
                branches.setdefault(name, branch)
        if len(branches) == 1:
            return {"conditional": self.denoiser(x, t, now)}
        rows, count = len(x), len(branches)
        repeated = x.repeat(count, *[1] * (x.ndim - 1))
        times = t.repeat(count) if t.ndim else t
        together = self.denoiser(repeated, times, self._joined(now, branches))
        return {name: together.select(slice(i * rows, (i + 1) * rows)) for i, name in enumerate(branches)}

    def _joined(self, now: Condition, branches: dict[str, Condition]) -> Condition:
        names = tuple(branches)
        kept = self._union
        if kept is None or kept[0] is not now or kept[1] != names:
            kept = self._union = (now, names, Condition.cat(tuple(branches.values())))
        return kept[2]
