"""Two networks that share a walk: one for its last step, one for all before."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from sfumato.condition import Condition, Part
from sfumato.denoise import Backbone


class LastStep:
    """`last` answers where the network's time lies below `until`, `first` elsewhere."""

    differentiable = True

    def __init__(self, first: Backbone, last: Backbone, until: float) -> None:
        self.first, self.last, self.until = first, last, until
        self.accepts: Mapping[type[Part], int] = first.accepts

    def __call__(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        return (self.last if float(t.max()) < self.until else self.first)(x, t, condition)
