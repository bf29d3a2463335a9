"""What every guidance is: a value that moves a prediction, in an interval of time (Kynkäänniemi et al. 2024)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from sfumato.condition import Condition
from sfumato.denoise import Prediction
from sfumato.element import Element, Interval
from sfumato.lazy import Tensor, torch
from sfumato.picture import BadInput
from sfumato.predict import expand

ALWAYS: Interval = (0.0, 1.0)


class Guidance(Element, kinds="guidance", package="sfumato.guide"):
    """One way to move a denoiser's prediction towards what is asked for.

    A subclass says which further conditions it needs answers for (`branches`), and what it makes of all answers
    (`combine`). What it has to remember from step to step belongs to one run: `fresh` gives the run its own. What needs
    a network or the run's prompts is made by `bind`.
    """

    needs_null: ClassVar[bool | property] = False
    """Whether it moves away from the answer to nothing (no prompt, no label), so that there has to be one."""

    keeps_score: ClassVar[bool] = True
    """Whether its answer's x0 and eps belong to the same x, so that a solver may read the score from them."""

    null_scale: ClassVar[float | property | None] = None
    """The s of u + s (c - u), for guidances that are that and nothing else: null-text optimisation undoes it."""

    def bind(self, batch: Any) -> Guidance | Any:
        """What acts in a run of `batch` (a `sfumato.model.Batch`): itself, unless it needs networks of its own."""
        return self

    def fresh(self) -> Any:
        """The guidance for one run: itself, unless it remembers anything."""
        return self

    def branches(self, condition: Condition, t: Tensor) -> Mapping[str, Condition]:
        """Further conditions it needs answers for at t; branches of one name are shared between guidances."""
        return {}

    def combine(self, current: Prediction, outs: Mapping[str, Prediction], x: Tensor, t: Tensor) -> Prediction:
        """The moved prediction. `current` is what the guidances before it left; outs["conditional"] the plain one."""
        return current


class ScaledGuidance(Guidance):
    """One that moves away from the unconditional answer by its `scale`, where t lies in its `interval`: at a scale of
    1, and outside, it is off and costs no row."""

    scale: float
    interval: Interval

    @property
    def needs_null(self) -> bool:  # type: ignore[override]
        return self.scale != 1

    def infotext(self) -> dict[str, str]:
        return {"CFG scale": f"{self.scale:g}"}

    def branches(self, condition: Condition, t: Tensor) -> Mapping[str, Condition]:
        return {"unconditional": condition.null()} if self.acts(t) else {}

    def acts(self, t: Tensor) -> bool:
        return self.scale != 1 and touches(self.interval, t)


def check_interval(interval: Interval) -> None:
    """Raises BadInput unless 0 <= low <= high <= 1."""
    low, high = interval
    if not 0 <= low <= high <= 1:
        raise BadInput(f"A guidance interval is two times 0 <= low <= high <= 1, not {interval}.")


def inside(interval: Interval, t: Any) -> Any:
    """Whether t (a number, or (B,)) lies in the interval: a bool, or (B,) of them."""
    return (t >= interval[0]) & (t <= interval[1])


def touches(interval: Interval, t: Tensor) -> bool:
    """Whether any row's t lies in the interval."""
    return bool(torch.any(inside(interval, t)) if t.ndim else inside(interval, float(t)))


def within(interval: Interval, t: Tensor, value: float, like: Tensor) -> Tensor | float:
    """`value` in the rows whose t lies in the interval and 0 in the others, to multiply `like` (B, ...)."""
    return expand(torch.where(inside(interval, t), value, 0.0), like) if t.ndim else value
