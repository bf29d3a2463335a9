"""`scheduler_config.json`: the process and the parameterization that a network was trained with. No torch until read.

The samplers are ours, so what only chooses a step rule or a grid there is neutral. What changes what the network's
answer means is understood or refused by name, and so is every field that is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sfumato.guide import DynamicThreshold, Guidance, StaticThreshold
from sfumato.picture.errors import BadInput, printable

if TYPE_CHECKING:
    from sfumato.schedule import Discrete

PARAMETERIZATIONS = {"epsilon": "eps", "v_prediction": "v", "sample": "x0", "posterior_mean": "mu"}
"""By `prediction_type`. The last is our own name: stock diffusers has none, and its schedulers refuse it."""
PREDICTIONS = {ours: theirs for theirs, ours in PARAMETERIZATIONS.items()}

TABLES = frozenset(
    f"{name}Scheduler"
    for name in (
        *("DDPM", "DDIM", "PNDM", "LMSDiscrete", "EulerDiscrete", "EulerAncestralDiscrete", "HeunDiscrete"),
        *("KDPM2Discrete", "KDPM2AncestralDiscrete", "DPMSolverMultistep", "DPMSolverSinglestep", "DPMSolverSDE"),
        *("DEISMultistep", "UniPCMultistep", "SASolver", "RePaint", "DDIMParallel", "DDPMParallel", "DDIMInverse"),
        *("DPMSolverMultistepInverse", "LCM", "TCD"),
    )
)
"""The schedulers of networks that were trained on a table of betas."""

OTHERS = {
    "Flow": "flow matching",
    "EDM": "the process of Karras et al. 2022",
    "CosineDPM": "the process of Karras et al. 2022",
    "CMStochastic": "a consistency model",
    "SCM": "a consistency model",
    "KarrasVe": "a variance-exploding process",
    "ScoreSdeVe": "a variance-exploding process",
    "ScoreSdeVp": "a continuous variance-preserving process",
    "UnCLIP": "unCLIP",
    "CogVideoX": "a shifted table of betas",
    "DDPMWuerstchen": "Wuerstchen",
    "VQDiffusion": "a discrete process",
    "Amused": "a discrete process",
}
"""What others are, by how their names begin."""

UNDERSTOOD = frozenset(
    (
        *("beta_schedule", "beta_start", "beta_end", "trained_betas", "num_train_timesteps", "prediction_type"),
        *("predict_epsilon", "rescale_betas_zero_snr", "variance_type", "clip_sample", "clip_sample_range"),
        "timestep_scaling",
    )
)
NEUTRAL = frozenset(
    (
        *("timestep_spacing", "steps_offset", "set_alpha_to_one", "skip_prk_steps", "algorithm_type", "solver_order"),
        *("solver_type", "solver_p", "lower_order_final", "euler_at_final", "final_sigmas_type", "lambda_min_clipped"),
        *("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas", "interpolation_type"),
        *("predict_x0", "disable_corrector", "predictor_order", "corrector_order", "tau_func", "eta", "tensor_format"),
        *("dynamic_thresholding_ratio", "sample_max_value", "flow_shift", "time_shift_type", "noise_sampler_seed"),
        *("original_inference_steps", "base_shift", "max_shift", "base_image_seq_len", "max_image_seq_len", "rho"),
    )
)
MUST_BE: Mapping[str, tuple[Any, ...]] = {
    "thresholding": (False, None),
    "use_flow_sigmas": (False, None),
    "use_dynamic_shifting": (False, None),
    "shift": (1, None),
    "shift_terminal": (None,),
    "snr_shift_scale": (1, None),
    "timestep_type": ("discrete", None),
    "timestep_values": (None,),
    "sigma_min": (None,),
    "sigma_max": (None,),
    "invert_sigmas": (False, None),
    "stochastic_sampling": (False, None),
}
"""Fields that change what is painted, and what they must be."""

INSTEAD = {"thresholding": "; leave it out, and guide with dynamic thresholding, which does the same"}
CLIPS = frozenset(f"{name}Scheduler" for name in ("DDPM", "DDIM", "DDPMParallel", "DDIMParallel", "DDIMInverse"))
"""Those that clip x0 where their config says nothing of it."""


def check_fields(config: Mapping[str, Any], where: str) -> None:
    """Raises BadInput for a class of scheduler, a field or a value that is not understood; `where` is the model."""
    kind = str(config.get("_class_name", "DDPMScheduler"))
    if kind not in TABLES:
        what = next((what for begin, what in OTHERS.items() if kind.startswith(begin)), "")
        raise BadInput(
            f"The scheduler of {where} is a {printable(kind, 60)}{what and f' ({what})'}, and this family is read with "
            "a table of betas, as DDPM's, DDIM's, Euler's and DPM-Solver's schedulers have one."
        )
    for field, value in config.items():
        if field.startswith("_") or field in UNDERSTOOD or field in NEUTRAL:
            continue
        if field not in MUST_BE:
            raise BadInput(f"The scheduler of {where} has the field {printable(repr(field), 60)}, unknown here.")
        if value not in MUST_BE[field]:
            raise BadInput(
                f"The scheduler of {where} has {field} {printable(repr(value), 60)}; accepted is "
                f"{MUST_BE[field][0]!r}{INSTEAD.get(field, '')}."
            )


def noise_schedule(config: Mapping[str, Any], where: str) -> tuple[Discrete, str]:
    """The table of betas of a diffusers `scheduler_config.json`, and the name of what the network predicts."""
    from sfumato.schedule import Discrete

    check_fields(config, where)
    prediction = config.get("prediction_type", "sample" if config.get("predict_epsilon") is False else "epsilon")
    if prediction not in PARAMETERIZATIONS:
        raise BadInput(
            f"The scheduler of {where} predicts {printable(repr(prediction), 60)}; "
            f"accepted are {', '.join(PARAMETERIZATIONS)}."
        )
    count = config.get("num_train_timesteps", 1000)
    if not isinstance(count, int) or not 1 <= count <= 1_000_000:
        raise BadInput(
            f"The scheduler of {where} has num_train_timesteps {printable(repr(count), 60)}: 1 to 1,000,000."
        )
    try:
        schedule = Discrete.from_config(config)
    except (ValueError, TypeError) as error:
        raise BadInput(f"The scheduler of {where} has no table of betas that is one: {printable(error, 150)}") from None
    if prediction == "epsilon" and float(schedule(1.0)[0]) == 0:
        raise BadInput(
            f"The network of {where} predicts epsilon, and its scheduler's last step is nothing but noise "
            "(rescale_betas_zero_snr): there its answer says nothing of the picture. Set it to false."
        )
    return schedule, PARAMETERIZATIONS[prediction]


def consistency_scaling(config: Mapping[str, Any]) -> float | None:
    """By how much a latent consistency model's index is scaled in c_skip and c_out; None for any other network."""
    return float(config.get("timestep_scaling", 10.0)) if config.get("_class_name") == "LCMScheduler" else None


def clipped(config: Mapping[str, Any]) -> float | None:
    """The range within which stock samplers clip x0, None if they don't."""
    if not config.get("clip_sample", config.get("_class_name") in CLIPS):
        return None
    return float(config.get("clip_sample_range", 1.0))


def thresholds(config: Mapping[str, Any]) -> tuple[Guidance, ...]:
    """What keeps x0 within its range after other guidance, as the scheduler of that config does it."""
    if config.get("thresholding"):
        ratio, largest = config.get("dynamic_thresholding_ratio", 0.995), config.get("sample_max_value", 1.0)
        return (DynamicThreshold(ratio, largest=largest),)
    limit = clipped(config)
    return () if limit is None else (StaticThreshold(limit),)


def scheduler_config(objective: Any) -> dict[str, object]:
    """What diffusers needs to sample with a network of latents: DDIM over the same table, from pure noise.

    objective: what names its `schedule`, its `table` (the number of steps) and its `parameterization`.
    """
    scaled = objective.schedule == "scaled_linear"
    return {
        "_class_name": "DDIMScheduler",
        "beta_schedule": objective.schedule,
        "beta_start": 0.00085 if scaled else 0.0001,
        "beta_end": 0.012 if scaled else 0.02,
        "num_train_timesteps": objective.table,
        "prediction_type": PREDICTIONS[objective.parameterization],
        "timestep_spacing": "trailing",
        "clip_sample": False,
        "set_alpha_to_one": True,
        "steps_offset": 1,
    }


def table_config(objective: Any) -> dict[str, object]:
    """The DDPMScheduler that samples with a network of pixels, from pure noise."""
    schedule = objective.schedule
    start, end = (0.00085, 0.012) if schedule.kind == "scaled_linear" else (0.0001, 0.02)
    return {
        "_class_name": "DDPMScheduler",
        "beta_schedule": schedule.kind,
        "beta_start": schedule.beta_start or start,
        "beta_end": schedule.beta_end or end,
        "rescale_betas_zero_snr": schedule.zero_terminal,
        "num_train_timesteps": objective.table,
        "prediction_type": PREDICTIONS[objective.parameterization],
        "variance_type": "learned_range"
        if objective.learned_variance
        else f"fixed_{getattr(objective.loss, 'variance', 'small')}",
        "timestep_spacing": "trailing",
        "clip_sample": False,
    }


def geometric_config(objective: Any) -> dict[str, object]:
    """The ScoreSdeVeScheduler of a network of geometric noise levels."""
    return {
        "_class_name": "ScoreSdeVeScheduler",
        "num_train_timesteps": objective.table,
        "sigma_min": objective.schedule.sigma_min,
        "sigma_max": objective.schedule.sigma_max,
    }
