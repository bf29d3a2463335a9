"""The same network outputs, grid and noise through diffusers' schedulers and through our samplers."""

import pytest
import torch
from torch import Tensor

from sfumato.condition import Condition
from sfumato.denoise import GaussianMixture, bind
from sfumato.sample import sampler, trajectory
from sfumato.schedule import Discrete
from sfumato.times import from_indices, grid, leading

SCHEDULE = Discrete.named("scaled_linear", 1000, 0.00085, 0.012)
CONFIG = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
ORACLE = GaussianMixture(SCHEDULE, torch.tensor([[1.0, 0.0], [-1.0, 0.5]]), 0.1)
START = torch.randn(16, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Replay:
    """The stream of one torch generator, in the order in which it is asked."""

    def __init__(self, dtype: torch.dtype = torch.float64):
        self.generator, self.dtype = torch.Generator().manual_seed(0), dtype

    def at(self, *key):
        return self

    def __call__(self, like: Tensor, *key) -> Tensor:
        return torch.randn(like.shape, generator=self.generator, dtype=self.dtype).to(like)


def ours(name: str, times: Tensor, drawn: torch.dtype = torch.float64, **options) -> Tensor:
    x = START
    for step in trajectory(bind(ORACLE, Condition.empty(16)), sampler(name, **options), x, times, Replay(drawn)):
        x = step.x
    return x


def stock(scheduler, prediction: str = "epsilon", *, variance_exploding: bool = False, **options) -> Tensor:
    """diffusers' loop with the oracle for a network; x stands in kappa space for the sigma-based schedulers."""
    alpha, _ = SCHEDULE((scheduler.timesteps[0].double() + 1) / 1000)
    x = START / alpha if variance_exploding else START
    generator = torch.Generator().manual_seed(0)
    for index in scheduler.timesteps:
        t = (index.double() + 1) / 1000
        alpha, sigma = SCHEDULE(t)
        p = ORACLE(scheduler.scale_model_input(x, index), t)
        output = {"epsilon": p.eps, "sample": p.x0, "v_prediction": alpha * p.eps - sigma * p.x0}[prediction]
        x = scheduler.step(output, index, x, generator=generator, **options).prev_sample
    return x


def agree(a: Tensor, b: Tensor, tolerance: float = 1e-4) -> None:
    assert float((a - b).abs().max() / b.abs().max()) < tolerance


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize("eta", [0.0, 0.7, 1.0])
def test_ddim(eta, prediction):
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(
        **CONFIG,
        prediction_type=prediction,
        clip_sample=False,
        set_alpha_to_one=True,
        timestep_spacing="leading",
        steps_offset=1,
    )
    scheduler.set_timesteps(20)
    agree(ours("ddim", grid("leading", 20, SCHEDULE), eta=eta), stock(scheduler, prediction, eta=eta))


@pytest.mark.parametrize(("variance", "theirs"), [("small", "fixed_small"), ("large", "fixed_large")])
def test_ddpm(variance, theirs):
    """Down to index 0, the one step at which diffusers, too, adds no large noise."""
    from diffusers import DDPMScheduler

    scheduler = DDPMScheduler(**CONFIG, clip_sample=False, variance_type=theirs, timestep_spacing="leading")
    scheduler.set_timesteps(25)
    agree(ours("ddpm", leading(25, SCHEDULE, offset=0), variance=variance), stock(scheduler))


def test_euler():
    from diffusers import EulerDiscreteScheduler

    scheduler = EulerDiscreteScheduler(**CONFIG, timestep_spacing="trailing")
    scheduler.set_timesteps(20)
    agree(ours("euler", grid("trailing", 20, SCHEDULE)), stock(scheduler, variance_exploding=True))


def test_heun_in_kappa():
    from diffusers import HeunDiscreteScheduler

    scheduler = HeunDiscreteScheduler(**CONFIG, timestep_spacing="trailing")
    scheduler.set_timesteps(20)
    x = START / SCHEDULE((scheduler.timesteps[0].double() + 1) / 1000)[0]
    for index in scheduler.timesteps:
        t = (index.double() + 1) / 1000
        x = scheduler.step(ORACLE(scheduler.scale_model_input(x, index), t).eps, index, x).prev_sample
    agree(ours("heun", grid("trailing", 20, SCHEDULE), form="kappa"), x)


@pytest.mark.parametrize("steps", [8, 20])
@pytest.mark.parametrize(
    ("name", "algorithm"), [("dpmpp-2m", "dpmsolver++"), ("dpmpp-2m-sde", "sde-dpmsolver++")], ids=["2m", "2m-sde"]
)
def test_dpmpp_2m(name, algorithm, steps):
    from diffusers import DPMSolverMultistepScheduler

    scheduler = DPMSolverMultistepScheduler(
        **CONFIG, algorithm_type=algorithm, solver_order=2, timestep_spacing="leading", steps_offset=1
    )
    scheduler.set_timesteps(steps)
    times = from_indices(scheduler.timesteps, 1000)
    agree(ours(name, times, torch.float32), stock(scheduler))


def test_karras_grid_and_euler_together():
    """Unrounded times: the oracle is asked at the scheduler's own sigmas."""
    from diffusers import EulerDiscreteScheduler

    scheduler = EulerDiscreteScheduler(**CONFIG, use_karras_sigmas=True)
    scheduler.set_timesteps(20)
    x = START / SCHEDULE(1.0)[0]
    for i, index in enumerate(scheduler.timesteps):
        t = SCHEDULE.time(scheduler.sigmas[i].double())
        x = scheduler.step(ORACLE(scheduler.scale_model_input(x, index), t).eps, index, x).prev_sample
    agree(ours("euler", grid("karras", 20, SCHEDULE)), x)
