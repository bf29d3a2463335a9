"""Schedules by name, as training recipes and the files of trained networks write them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from sfumato.picture import BadInput
from sfumato.schedule.base import Schedule
from sfumato.schedule.cosine import Cosine
from sfumato.schedule.discrete import Discrete
from sfumato.schedule.exploding import EDM, VE
from sfumato.schedule.flow import Flow
from sfumato.schedule.linear import SubVP, VPLinear, VPScaledLinear

SCHEDULES: dict[str, Callable[..., Schedule]] = {
    "linear": partial(Discrete.named, "linear"),
    "scaled_linear": partial(Discrete.named, "scaled_linear", beta_start=0.00085, beta_end=0.012),
    "squaredcos_cap_v2": partial(Discrete.named, "squaredcos_cap_v2"),
    "vp-linear": VPLinear,
    "vp-scaled-linear": VPScaledLinear,
    "sub-vp": SubVP,
    "cosine": Cosine,
    "ve": VE,
    "edm": EDM,
    "flow": Flow,
}


def named(kind: str, **options: Any) -> Schedule:
    """The schedule of that name, e.g. named("flow", shift=3.0); the first three are tables, of `count` steps.

    Raises BadInput for an unknown name or option, naming what is accepted.
    """
    if kind not in SCHEDULES:
        raise BadInput(f"Unknown schedule {kind!r}: choose one of {', '.join(SCHEDULES)}.")
    try:
        return SCHEDULES[kind](**options)
    except TypeError as error:
        raise BadInput(f"The schedule {kind!r} does not take {', '.join(options)}: {error}.") from None
