"""`scheduler_config.json` of networks trained by flow matching, understood to the last field."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sfumato.picture.errors import BadInput, printable

if TYPE_CHECKING:
    from sfumato.schedule import Flow

KINDS = ("FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler")
SHIFTS = ("base_shift", "max_shift", "base_image_seq_len", "max_image_seq_len")
NUMBERS = ("num_train_timesteps", "shift", *SHIFTS)
NEUTRAL = ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "stochastic_sampling")
"""What chooses a step rule or a grid."""
UNDERSTOOD = (*NUMBERS, *NEUTRAL, "use_dynamic_shifting", "time_shift_type", "shift_terminal", "invert_sigmas")


def flow_schedule(
    config: Mapping[str, Any], where: str, tokens: Callable[[tuple[int, int]], int]
) -> Callable[[tuple[int, int]], Flow]:
    """(width, height) in pixels -> the schedule of a flow-matching network at that size; `where` is the model.

    The shift is the config's, or with `use_dynamic_shifting` exp(mu) (mu itself where `time_shift_type` is linear), mu
    a straight line through (base_image_seq_len, base_shift) and (max_image_seq_len, max_shift) of the number of
    `tokens` that a picture takes (Esser et al. 2024, section 5.3.2; Black Forest Labs' FLUX). A `shift_terminal` is a
    matter of the grid: see `terminal`.

    Raises BadInput for a class of scheduler, a field or a value that is not understood.
    """
    from sfumato.schedule import Flow

    kind = config.get("_class_name")
    if kind not in KINDS:
        raise BadInput(
            f"The scheduler of {where} is a {printable(kind, 60)}, and this family is read with flow matching, as "
            f"{KINDS[0]} has it."
        )
    for field, value in config.items():
        if not field.startswith("_") and field not in UNDERSTOOD:
            raise BadInput(f"The scheduler of {where} has the field {printable(repr(field), 60)}, unknown here.")
        if field in NUMBERS and (isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9):
            raise BadInput(f"The scheduler of {where} has {field} {printable(repr(value), 60)}: give a number above 0.")
    if config.get("invert_sigmas"):
        raise BadInput(f"The scheduler of {where} has invert_sigmas true; accepted is false.")
    if not config.get("use_dynamic_shifting"):
        fixed = Flow(float(config.get("shift", 1.0)))
        return lambda size: fixed
    how = config.get("time_shift_type", "exponential")
    if how not in ("exponential", "linear"):
        raise BadInput(
            f"The scheduler of {where} has time_shift_type {printable(repr(how), 60)}; accepted: exponential, linear."
        )
    low, high, fewest, most = (
        float(config.get(name, default)) for name, default in zip(SHIFTS, (0.5, 1.15, 256, 4096), strict=True)
    )

    def at(size: tuple[int, int]) -> Flow:
        mu = low + (high - low) * (tokens(size) - fewest) / (most - fewest)
        return Flow(math.exp(mu) if how == "exponential" else mu)

    return at


def terminal(config: Mapping[str, Any], where: str) -> float | None:
    """The sigma of the last knot before 0, to which stock schedulers stretch their grid; None if they don't."""
    value = config.get("shift_terminal")
    if not value:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        raise BadInput(f"The scheduler of {where} has shift_terminal {printable(repr(value), 60)}: above 0, below 1.")
    return float(value)
