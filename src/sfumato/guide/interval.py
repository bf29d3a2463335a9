"""When a guidance acts: an interval of time, both ends included (Kynkäänniemi et al. 2024)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sfumato.lazy import torch
from sfumato.picture import BadInput

if TYPE_CHECKING:
    from torch import Tensor

    from sfumato.element import Interval

ALWAYS: Interval = (0.0, 1.0)


def check(interval: Interval) -> None:
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
    from sfumato.predict import expand

    return expand(torch.where(inside(interval, t), value, 0.0), like) if t.ndim else value
