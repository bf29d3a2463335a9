from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sfumato.condition import Condition
from sfumato.denoise import GaussianMixture, bind
from sfumato.edit import NoisedStart, NoiseStart
from sfumato.noise import KeyedNoise
from sfumato.picture import BadInput
from sfumato.sample import Sampler, trajectory
from sfumato.schedule import EDM, VE, Discrete, Flow, VPLinear
from sfumato.times import TimeGrid, grid

STABLE = Discrete.named("scaled_linear", 1000, 0.00085, 0.012)
SCHEDULES = [STABLE, VPLinear(), VE(), Flow(), EDM()]
NOISE = KeyedNoise([1, 2])
PICTURE = torch.tensor([[0.9, 0.1], [-0.8, 0.3]])


def denoiser(schedule):
    return bind(GaussianMixture(schedule, torch.tensor([[1.0, 0.0], [-1.0, 0.5]]), 0.05), Condition.empty(2))


def finish(start, schedule, times, name="dpmpp-2m"):
    denoise = denoiser(schedule)
    x, knots = start(denoise, times, NOISE)
    for step in trajectory(denoise, Sampler.registry.named(name), x, knots, NOISE):
        x = step.x
    return x


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
@pytest.mark.parametrize("name", TimeGrid.registry)
def test_noise_has_the_size_of_the_first_knot(schedule, name):
    times = grid(name, 20, schedule)
    x, knots = NoiseStart(PICTURE)(denoiser(schedule), times, NOISE)
    assert torch.equal(knots, times)
    alpha, sigma = schedule(times[0])
    torch.testing.assert_close(x, NOISE(PICTURE, "start") * float(torch.hypot(alpha, sigma)))


def test_a_leading_grid_starts_as_in_diffusers():
    from diffusers import DDIMScheduler, EulerDiscreteScheduler

    times = grid("leading", 20, STABLE)
    x, _ = NoiseStart(PICTURE)(denoiser(STABLE), times, NOISE)
    torch.testing.assert_close(x, NOISE(PICTURE, "start") * DDIMScheduler().init_noise_sigma)
    euler = EulerDiscreteScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        timestep_spacing="leading",
        steps_offset=1,
    )
    euler.set_timesteps(20)
    alpha, _ = STABLE(times[0])
    torch.testing.assert_close(
        x, NOISE(PICTURE, "start") * float(euler.init_noise_sigma) * float(alpha), rtol=1e-4, atol=0
    )


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
@pytest.mark.parametrize("steps", ["all", "fraction"])
def test_strength_0_is_the_picture_to_the_bit(schedule, steps):
    start = NoisedStart(PICTURE, 0.0, steps)
    x, knots = start(denoiser(schedule), grid("uniform", 20, schedule), NOISE)
    assert knots.tolist() == [0]
    assert torch.equal(x, PICTURE)
    assert torch.equal(finish(start, schedule, grid("uniform", 20, schedule)), PICTURE)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
@pytest.mark.parametrize("name", TimeGrid.registry)
def test_strength_1_is_the_noise_start_to_the_bit(schedule, name):
    """alpha(1) x0 + sigma(1) z would leave 7 % of the picture in Stable Diffusion's schedule."""
    times = grid(name, 9, schedule)
    edited, noised = finish(NoisedStart(PICTURE, 1.0), schedule, times), finish(NoiseStart(PICTURE), schedule, times)
    assert torch.equal(edited, noised)


@settings(max_examples=60, deadline=None)
@given(
    schedule=st.sampled_from(SCHEDULES),
    name=st.sampled_from(list(TimeGrid.registry)),
    strength=st.floats(1e-4, 1, exclude_max=True),
    build=st.booleans(),
)
def test_the_grid_begins_where_x_is(schedule, name, strength, build):
    times = partial(grid, name, 7, schedule) if build else grid(name, 7, schedule)
    x, knots = NoisedStart(PICTURE.double(), strength)(denoiser(schedule), times, NOISE)
    assert len(knots) == 8
    assert knots[0] == strength
    assert knots[-1] == 0
    alpha, sigma = schedule(strength)
    torch.testing.assert_close(x, alpha * PICTURE.double() + sigma * NOISE(PICTURE.double(), "start"))


def test_a_function_rebuilds_by_its_own_rule_and_a_bare_grid_is_stretched():
    built = NoisedStart(PICTURE, 0.5)(denoiser(STABLE), partial(grid, "karras", 6, STABLE), NOISE)[1]
    assert torch.equal(built, grid("karras", 6, STABLE, 0.5))
    stretched = NoisedStart(PICTURE, 0.5)(denoiser(STABLE), grid("karras", 6, STABLE), NOISE)[1]
    torch.testing.assert_close(stretched, grid("karras", 6, STABLE) / 2)


@pytest.mark.parametrize("strength", [0.05, 0.3, 0.6, 0.99])
def test_a_fraction_of_the_steps_is_that_of_diffusers(strength):
    """get_timesteps of the img2img pipelines: t_start = steps - min(int(steps * strength), steps)."""
    times = grid("leading", 20, STABLE)
    _, knots = NoisedStart(PICTURE, strength, "fraction")(denoiser(STABLE), times, NOISE)
    kept = min(int(20 * strength), 20)
    assert torch.equal(knots, times[20 - kept :])


def test_more_strength_moves_further():
    times = grid("uniform", 20, STABLE)
    moves = [
        float((finish(NoisedStart(PICTURE, s), STABLE, times) - PICTURE).abs().mean()) for s in (0.0, 0.05, 0.3, 1.0)
    ]
    assert moves[0] == 0
    assert moves == sorted(moves)


class Imprecise:
    """A network that is 1 % off, up and down in turns."""

    def __init__(self, schedule):
        self.schedule, self.exact, self.sign = schedule, denoiser(schedule), 1

    def __call__(self, x, t, condition=None):
        self.sign = -self.sign
        p = self.exact(x, t)
        return p.moved(x0=p.x0 * (1 + 0.01 * self.sign), eps=p.eps)


def test_a_strength_next_to_a_knot_does_not_blow_up():
    """Cutting the grid and beginning at t0 leaves a step of a hair's width, by which 2M then divides."""
    times = grid("uniform", 20, STABLE)
    beside = float(times[8]) + 1e-12
    rebuilt = NoisedStart(PICTURE.double(), beside)
    cut = torch.cat([torch.tensor([beside], dtype=torch.float64), times[8:]])

    def furthest(knots=None):
        denoise = bind(Imprecise(STABLE), Condition.empty(2))
        x, grown = rebuilt(denoise, times, NOISE)
        walk = trajectory(denoise, Sampler.registry.named("dpmpp-2m"), x, grown if knots is None else knots, NOISE)
        return max(float(step.x.abs().max()) for step in walk)

    assert furthest() < 3
    assert furthest(cut) > 1e6  # the trap is real


def test_impossible_strengths_are_refused():
    for strength in (1.5, -0.1, float("nan")):
        with pytest.raises(BadInput, match="between 0"):
            NoisedStart(PICTURE, strength)
    with pytest.raises(BadInput, match='"all" or "fraction"'):
        NoisedStart(PICTURE, 0.5, "some")  # type: ignore[arg-type]
