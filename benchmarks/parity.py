"""The same network outputs, grid and noise through diffusers' schedulers and through our samplers.

    python benchmarks/parity.py

The network is the exact denoiser of a mixture of two Gaussians, asked at each scheduler's own indices, in float64
(the schedulers keep their tables in float32, and some their steps). Printed is the largest difference of the results,
relative to the largest value: at most 1e-4 is promised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from inspect import signature
from typing import Any

import torch
from torch import Tensor

from sfumato.condition import Condition
from sfumato.denoise import GaussianMixture, Prediction, bind
from sfumato.sample import Sampler, trajectory
from sfumato.schedule import Discrete, Flow, Schedule
from sfumato.times import from_indices

SCHEDULE = Discrete.named("scaled_linear", 1000, 0.00085, 0.012)
CONFIG = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
START = torch.randn(16, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
PROMISED = 1e-4


@dataclass(frozen=True)
class Case:
    """A sampler with its options, and the scheduler that should give the same."""

    name: str
    options: Mapping[str, Any]
    scheduler: str
    config: Mapping[str, Any] = field(default_factory=dict)
    steps: int = 20
    step: Mapping[str, Any] = field(default_factory=dict)  # options of the scheduler's own step
    prediction: str = "epsilon"
    scaled: bool = False  # the scheduler's x is x/alpha
    drawn: torch.dtype = torch.float64  # in which it draws its noise
    end: float = 0.0  # where its grid ends
    middle: int | None = None  # of two calls a step: the i-th, at the middle, is at its sigmas_interpol[i - middle]

    def __str__(self) -> str:
        told = ", ".join(f"{key} = {value}" for key, value in self.options.items())
        return f"{self.name}{told and ': '}{told}, {self.steps} steps"

    def made(self) -> Any:
        """The scheduler, with its grid set."""
        import diffusers

        scheduler = getattr(diffusers, self.scheduler)(**CONFIG, **self.config)
        scheduler.set_timesteps(self.steps)
        return scheduler


LEADING = {"timestep_spacing": "leading", "steps_offset": 1}
TRAILING = {"timestep_spacing": "trailing"}
BH1 = {  # which in diffusers is NaN where sigma = 0
    **LEADING, "solver_type": "bh1", "final_sigmas_type": "sigma_min", "lower_order_final": False,
}  # fmt: skip
PLMS = {**LEADING, "skip_prk_steps": True, "set_alpha_to_one": True}
DDIM = {"clip_sample": False, "set_alpha_to_one": True, **LEADING}
DDPM = {"clip_sample": False, "timestep_spacing": "leading"}

CASES = (
    *(Case("ddim", {"eta": eta}, "DDIMScheduler", DDIM, step={"eta": eta}) for eta in (0.0, 0.7, 1.0)),
    *(
        Case("ddpm", {"variance": ours}, "DDPMScheduler", {**DDPM, "variance_type": theirs}, 25)
        for ours, theirs in (("small", "fixed_small"), ("large", "fixed_large"), ("learned", "learned_range"))
    ),
    Case("euler", {}, "EulerDiscreteScheduler", TRAILING, scaled=True),
    Case("heun", {"form": "kappa"}, "HeunDiscreteScheduler", TRAILING, scaled=True),
    Case("lms", {}, "LMSDiscreteScheduler", TRAILING, scaled=True),
    Case("dpm2", {}, "KDPM2DiscreteScheduler", TRAILING, scaled=True, middle=0),
    Case("dpm2-a", {}, "KDPM2AncestralDiscreteScheduler", TRAILING, scaled=True, middle=1),
    Case("plms", {}, "PNDMScheduler", PLMS),
    *(Case("dpmpp-2m", {}, "DPMSolverMultistepScheduler", {**LEADING, "solver_order": 2}, steps) for steps in (8, 20)),
    Case(
        "dpmpp-2m",
        {"solver": "heun"},
        "DPMSolverMultistepScheduler",
        {**LEADING, "solver_order": 2, "solver_type": "heun"},
    ),
    *(
        Case(
            name,
            {},
            "DPMSolverMultistepScheduler",
            {**LEADING, "solver_order": 2, "algorithm_type": "sde-dpmsolver++", "solver_type": solver},
            steps,
            drawn=torch.float32,
        )
        for steps in (8, 20)
        for name, solver in (("dpmpp-2m-sde", "midpoint"), ("dpmpp-2m-sde-heun", "heun"))
    ),
    *(
        Case("dpmpp-3m", {}, "DPMSolverMultistepScheduler", {**spacing, "solver_order": 3}, steps)
        for steps in (8, 20)
        for spacing in (LEADING, TRAILING)
    ),
    *(
        Case("unipc", {"order": order}, "UniPCMultistepScheduler", {**LEADING, "solver_order": order}, steps)
        for order in (1, 2, 3)
        for steps in (8, 20)
    ),
    *(
        Case(
            "unipc",
            {"order": order, "form": "bh1"},
            "UniPCMultistepScheduler",
            {**BH1, "solver_order": order},
            end=1e-3,
        )
        for order in (1, 2, 3)
    ),
    *(
        Case("deis", {"order": order}, "DEISMultistepScheduler", {**LEADING, "solver_order": order}, steps, end=1e-3)
        for order in (1, 2, 3)
        for steps in (8, 20)
    ),
)


class Replay:
    """The stream of one torch generator, in the order in which it is asked."""

    def __init__(self, dtype: torch.dtype = torch.float64) -> None:
        self.generator, self.dtype = torch.Generator().manual_seed(0), dtype

    def at(self, *key: str | int) -> Replay:
        return self

    def __call__(self, like: Tensor, *key: str | int) -> Tensor:
        return torch.randn(like.shape, generator=self.generator, dtype=self.dtype).to(like)


class Oracle:
    """The mixture's exact denoiser, which also says a variance: v = tanh(x), as the fraction (v + 1)/2."""

    def __init__(self, schedule: Schedule = SCHEDULE) -> None:
        self.schedule = schedule
        self.mixture = GaussianMixture(schedule, torch.tensor([[1.0, 0.0], [-1.0, 0.5]]), 0.1)

    def __call__(self, x: Tensor, t: Tensor, condition: Condition | None = None) -> Prediction:
        p = self.mixture(x, t)
        return Prediction(p.x, p.x0, p.eps, p.alpha, p.sigma, fraction=(x.tanh() + 1) / 2)


def ours(case: Case, times: Tensor, schedule: Schedule = SCHEDULE) -> Tensor:
    """Where our sampler ends on that grid."""
    x, denoise = START, bind(Oracle(schedule), Condition.empty(len(START)))
    for step in trajectory(denoise, Sampler.registry.named(case.name, **case.options), x, times, Replay(case.drawn)):
        x = step.x
    return x


def theirs(case: Case, scheduler: Any, time: Callable[[int], Tensor] | None = None) -> Tensor:
    """Where the scheduler ends; time(i) is the time of its i-th call if its index doesn't say it."""
    oracle, options = Oracle(), dict(case.step)
    if "generator" in signature(scheduler.step).parameters:
        options["generator"] = torch.Generator().manual_seed(0)
    at = partial(asked_at, case, scheduler) if time is None else time
    times = [at(i) for i in range(len(scheduler.timesteps))]
    x = START / SCHEDULE(times[0])[0] if case.scaled else START
    for index, t in zip(scheduler.timesteps, times, strict=True):
        alpha, sigma = SCHEDULE(t)
        seen = scheduler.scale_model_input(x, index)
        p = oracle(seen, t)
        output = {"epsilon": p.eps, "sample": p.x0, "v_prediction": alpha * p.eps - sigma * p.x0}[case.prediction]
        if case.options.get("variance") == "learned":
            output = torch.cat([output, seen.tanh()], 1)
        x = scheduler.step(output, index, x, **options).prev_sample
    return x


def asked_at(case: Case, scheduler: Any, i: int) -> Tensor:
    """The time of the scheduler's i-th call."""
    if case.middle is not None and i % 2:
        return SCHEDULE.time(scheduler.sigmas_interpol[i - case.middle].double())
    return (scheduler.timesteps[i].double() + 1) / 1000


def knots(case: Case, scheduler: Any) -> Tensor:
    """The scheduler's grid: its indices, without those that Heun asks twice and those in the middle, and its end."""
    indices = scheduler.timesteps.unique_consecutive() if case.middle is None else scheduler.timesteps[::2]
    times = from_indices(indices, 1000)
    times[-1] = case.end
    return times


def flow_matching(steps: int = 20, shift: float = 3.0) -> float:
    """Euler on the straight line of flow matching, whose scheduler keeps sigma itself as its time."""
    from diffusers import FlowMatchEulerDiscreteScheduler

    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(steps)
    schedule = Flow()
    oracle, x = Oracle(schedule), START
    for i, index in enumerate(scheduler.timesteps):
        p = oracle(x, scheduler.sigmas[i].double())
        x = scheduler.step(p.eps - p.x0, index, x).prev_sample
    return relative(ours(Case("euler", {}, ""), scheduler.sigmas.double(), schedule), x)


def relative(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


def difference(case: Case) -> float:
    """The largest difference of the two results, relative to the largest value."""
    scheduler = case.made()
    return relative(ours(case, knots(case, scheduler)), theirs(case, scheduler))


def main() -> None:
    torch.set_num_threads(1)
    print(f"{'sampler':<46}{'diffusers':<32}{'max relative difference':>24}")
    for case in CASES:
        found = difference(case)
        print(f"{case!s:<46}{case.scheduler:<32}{found:>24.1e}{'' if found <= PROMISED else '  not kept'}")
    print(f"{'euler, flow matching, 20 steps':<46}{'FlowMatchEulerDiscreteScheduler':<32}{flow_matching():>24.1e}")


if __name__ == "__main__":
    main()
