"""The loop: what it yields, and that nobody disturbs anybody."""

import pytest
import torch

from sfumato.condition import Condition
from sfumato.denoise import GaussianMixture, bind
from sfumato.noise import KeyedNoise
from sfumato.sample import DDIM, DDPM, DPMpp2M, Sampler, renoise, trajectory
from sfumato.schedule import Flow, VPLinear
from sfumato.times import grid, jumps

SCHEDULE = VPLinear()
ORACLE = GaussianMixture(SCHEDULE, torch.tensor([[1.0, 0.0], [-1.0, 0.5]]), 0.1)


def run(name="dpmpp-2m-sde", seeds=(0, 1, 2), steps=6, **options):
    noise = KeyedNoise(seeds)
    x = noise(torch.zeros(len(seeds), 2), "start")
    denoise = bind(ORACLE, Condition.empty(len(seeds)))
    return trajectory(denoise, Sampler.registry.named(name), x, grid("uniform", steps, SCHEDULE), noise, **options)


def test_a_step_says_where_it_is():
    steps = list(run())
    assert [step.index for step in steps] == list(range(6))
    assert {step.total for step in steps} == {6}
    assert torch.equal(torch.stack([step.t for step in steps]), grid("uniform", 6, SCHEDULE)[1:])
    last = steps[-1]
    assert last.prediction is not None
    torch.testing.assert_close(last.prediction.x0, last.x)


@pytest.mark.parametrize("name", Sampler.registry)
def test_picture_n_of_a_batch_equals_it_alone(name):
    *_, together = run(name, seeds=(5, 6, 7))
    for row, seed in enumerate((5, 6, 7)):
        *_, alone = run(name, seeds=(seed,))
        torch.testing.assert_close(together.x[row : row + 1], alone.x, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", Sampler.registry)
def test_twice_is_the_same_to_the_bit(name):
    *_, a = run(name)
    *_, b = run(name)
    assert torch.equal(a.x, b.x)


def test_gradients_are_off_inside_the_step_and_untouched_outside():
    seen = []

    class Watching:
        schedule = SCHEDULE

        def __call__(self, x, t, condition):
            seen.append(torch.is_grad_enabled())
            return ORACLE(x, t)

    x = torch.zeros(1, 2, requires_grad=True)
    denoise = bind(Watching(), Condition.empty(1))
    for step in trajectory(denoise, DDIM(), x, grid("uniform", 3, SCHEDULE), KeyedNoise([0])):
        assert torch.is_grad_enabled()
        assert not step.x.requires_grad
        break  # cancelled in the middle
    assert torch.is_grad_enabled()
    assert seen == [False]


def test_a_hold_acts_after_every_move_with_its_own_noise():
    calls = []

    def hold(x, s, noise):
        calls.append((float(s), noise(x)))
        return x

    *_, held = run("ddpm", hold=hold)
    *_, free = run("ddpm")
    assert torch.equal(held.x, free.x)
    assert [s for s, _ in calls] == grid("uniform", 6, SCHEDULE)[1:].tolist()
    draws = torch.stack([z for _, z in calls])
    steps = torch.stack([KeyedNoise((0, 1, 2)).at("step", i)(torch.zeros(3, 2)) for i in range(6)])
    assert not torch.isclose(draws[:, None], steps[None]).any()


def test_a_grid_of_one_knot_makes_no_move_but_holds():
    x = torch.ones(1, 2)
    noise, denoise = KeyedNoise([0]), bind(ORACLE, Condition.empty(1))
    (step,) = trajectory(denoise, DDIM(), x, torch.zeros(1).double(), noise)
    assert step.x is x
    assert step.total == 0
    assert step.prediction is None
    (step,) = trajectory(denoise, DDIM(), x, torch.zeros(1).double(), noise, hold=lambda x, s, noise: 2 * x)
    assert torch.equal(step.x, 2 * x)


def test_a_rising_knot_renoises_and_clears_the_memory():
    class Counting(DPMpp2M):
        begun = 0

        def init(self, x, times):
            Counting.begun += 1
            return super().init(x, times)

    times = jumps(grid("uniform", 6, SCHEDULE), 2, 2)  # rises after the 3rd and the 6th step
    noise, denoise = KeyedNoise([3]), bind(ORACLE, Condition.empty(1))
    x = noise(torch.zeros(1, 2), "start")
    steps = list(trajectory(denoise, Counting(), x, times, noise))
    assert Counting.begun == 3
    expected = renoise(denoise, steps[2].x, times[3], times[4], noise.at("up", 3))
    assert torch.equal(steps[3].x, expected)


@pytest.mark.parametrize("schedule", [VPLinear(), Flow()], ids=repr)
def test_renoising_is_the_forward_process(schedule):
    """Up from t to s in one go: the marginal at t becomes the marginal at s, mean and variance."""
    t, s = torch.tensor([0.3, 0.8], dtype=torch.float64)
    denoise = bind(GaussianMixture(schedule, torch.zeros(1, 1), 1.0), Condition.empty(1))
    noise, one = KeyedNoise([0]), torch.ones(1, 1, dtype=torch.float64)
    (a_t, s_t), (a_s, s_s) = schedule(t), schedule(s)
    scale = renoise(denoise, one, t, s, noise) - renoise(denoise, 0 * one, t, s, noise)
    torch.testing.assert_close(scale[0, 0], a_s / a_t)
    added = (renoise(denoise, 0 * one, t, s, noise) / noise(one))[0, 0]
    torch.testing.assert_close(added.square() + (a_s / a_t * s_t).square(), s_s.square())


def test_two_runs_side_by_side_do_not_meet():
    """Stateless samplers: interleaved trajectories of one sampler object are what they are alone."""
    solver, noise = DPMpp2M(), KeyedNoise([0, 1])
    denoise, times = bind(ORACLE, Condition.empty(2)), grid("uniform", 5, SCHEDULE)
    xs = [noise(torch.zeros(2, 2), "start", i) for i in range(2)]
    alone = [[step.x for step in trajectory(denoise, solver, x, times, noise)] for x in xs]
    pairs = zip(*(trajectory(denoise, solver, x, times, noise) for x in xs), strict=True)
    for i, pair in enumerate(pairs):
        for j in range(2):
            assert torch.equal(pair[j].x, alone[j][i])


def test_ddpm_noise_is_keyed_by_step():
    noise, x = KeyedNoise([4]), torch.zeros(1, 2)
    denoise, times = bind(ORACLE, Condition.empty(1)), grid("uniform", 4, SCHEDULE)
    first = next(iter(trajectory(denoise, DDPM(), x, times, noise)))
    expected, _ = DDPM().step(denoise, x, times[0], times[1], None, noise.at("step", 0))
    assert torch.equal(first.x, expected)
