"""`scheduler_config.json` of networks trained by flow matching, understood to the last field."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sfumato.formats.scheduler_config import NEUTRAL as STEP_RULES
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


BETAS = ("beta_schedule", "beta_start", "beta_end", "trained_betas", "num_train_timesteps", "variance_type")
"""Fields of multistep schedulers that say nothing where it walks flow sigmas."""

MULTISTEP = ("DPMSolverMultistepScheduler", "UniPCMultistepScheduler")
FLOW: Mapping[str, tuple[Any, ...]] = {
    "use_flow_sigmas": (True,),
    "prediction_type": ("flow_prediction",),
    "thresholding": (False, None),
    "use_dynamic_shifting": (False, None),
    "rescale_betas_zero_snr": (False, None),
}
"""What they must be; the last three may be left out."""


def flow_of(config: Mapping[str, Any], where: str) -> Flow:
    """The schedule of a scheduler of flow matching: diffusers' own, or DPM-Solver's or UniPC's with
    `use_flow_sigmas`.

    Raises BadInput for a class, a field or a value that is not understood.
    """
    from sfumato.schedule import Flow

    kind = config.get("_class_name")
    if kind in KINDS and not config.get("use_dynamic_shifting"):
        return flow_schedule(config, where, lambda size: 0)((0, 0))
    if kind not in MULTISTEP:
        raise BadInput(
            f"The scheduler of {where} is a {printable(kind, 60)}; accepted are {' and '.join(MULTISTEP)} with "
            f"use_flow_sigmas, and {KINDS[0]} without dynamic shifting."
        )
    for field in config:
        if not field.startswith("_") and field not in (*STEP_RULES, *BETAS, *FLOW):
            raise BadInput(f"The scheduler of {where} has the field {printable(repr(field), 60)}, unknown here.")
    for field, accepted in FLOW.items():
        value = config.get(field, accepted[0] if None in accepted else None)
        if value not in accepted:
            raise BadInput(
                f"The scheduler of {where} has {field} {printable(repr(value), 60)}; accepted is {accepted[0]!r}."
            )
    shift = config.get("flow_shift", 1.0)
    if isinstance(shift, bool) or not isinstance(shift, int | float) or not 0 < shift < 1e9:
        raise BadInput(f"The scheduler of {where} has flow_shift {printable(repr(shift), 60)}: give a number above 0.")
    return Flow(float(shift))


def flows(config: Mapping[str, Any]) -> bool:
    """Whether it says that a network was trained by flow matching, where that is not the family's rule."""
    kind = str(config.get("_class_name"))
    told = bool(config.get("use_flow_sigmas")) or config.get("prediction_type") == "flow_prediction"
    return kind.startswith("FlowMatch") or (kind in MULTISTEP and told)
