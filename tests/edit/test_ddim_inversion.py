"""DDIM inversion against the probability flow, which is known for a Gaussian."""

from functools import partial
from itertools import pairwise

import pytest
import torch

from sfumato.condition import Condition
from sfumato.denoise import Gaussian, Preconditioned, bind
from sfumato.edit import Inversion, NoisedStart
from sfumato.noise import KeyedNoise
from sfumato.picture import BadInput
from sfumato.sample import DDIM, trajectory
from sfumato.schedule import EDM, VE, Cosine, Discrete, Flow, VPLinear
from sfumato.times import TimeGrid, grid

STABLE = Discrete.named("scaled_linear", 1000, 0.00085, 0.012)
MINI = Discrete.named("squaredcos_cap_v2", 1000)
SCHEDULES = [STABLE, MINI, VPLinear(), Cosine(), VE(), Flow(), EDM()]
each_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
NOISE = KeyedNoise([0, 1])

generator = torch.Generator().manual_seed(0)
X0 = torch.randn(2, 4, dtype=torch.float64, generator=generator)
A = torch.randn(4, 4, dtype=torch.float64, generator=generator)
COVARIANCE = A @ A.T / 4 + 0.05 * torch.eye(4, dtype=torch.float64)


def gaussian(schedule):
    return Gaussian(schedule, torch.ones(4, dtype=torch.float64), COVARIANCE)


def inverted(schedule, steps=12, strength=0.6, refine=0, name="uniform", x0=X0):
    source = bind(gaussian(schedule), Condition.empty(len(x0)))
    return Inversion(source, x0, partial(grid, name, steps, schedule), strength, refine)


def back(start):
    """Where DDIM comes down to."""
    x, times = start(start.source, None, NOISE)
    for step in trajectory(start.source, DDIM(), x, times, NOISE):
        x = step.x
    return x


@each_schedule
def test_it_follows_the_probability_flow_with_order_1(schedule):
    flow = gaussian(schedule).flow(X0, 0.0, 0.6)
    errors = [float((inverted(schedule, steps).at(0.6) - flow).abs().max()) for steps in (30, 60, 120)]
    for coarse, fine in pairwise(errors):
        assert 1.7 < coarse / fine < 2.5


@pytest.mark.parametrize(
    ("schedule", "name", "strength"),
    [(schedule, "uniform", 1.0) for schedule in SCHEDULES]
    + [(SCHEDULES[(i + k) % len(SCHEDULES)], name, 0.5) for i, name in enumerate(TimeGrid.registry) for k in (0, 2, 4)],
)
def test_refined_it_comes_back_to_the_picture(schedule, name, strength):
    plain, refined = (inverted(schedule, 12, strength, refine, name) for refine in (0, 200))
    assert float((back(refined) - X0).abs().max()) < 1e-9
    assert float((back(plain) - X0).abs().max()) > 1e-5


@each_schedule
def test_each_iteration_comes_nearer(schedule):
    errors = [float((back(inverted(schedule, 20, 0.6, refine)) - X0).abs().max()) for refine in range(5)]
    assert all(after < before / 2 for before, after in pairwise(errors))


def test_the_way_is_kept_knot_by_knot():
    start = inverted(VPLinear(), 8, refine=30)
    x, times = start(start.source, None, NOISE)
    assert torch.equal(start.at(0.0), X0)
    assert torch.equal(start.at(times[0]), x)
    for step in trajectory(start.source, DDIM(), x, times, NOISE):
        torch.testing.assert_close(step.x, start.at(step.t), rtol=0, atol=1e-9)
    with pytest.raises(BadInput, match="no knot at t"):
        start.at(0.123)


@each_schedule
def test_at_the_clean_end_the_picture_is_its_own_x0(schedule):
    """The first step up is alpha x + sigma eps: the network's x0, asked at the schedule's last time, has no say."""
    start = inverted(schedule, 8)
    s = start.knots[1]
    p = start.source(X0, torch.tensor(schedule.last, dtype=torch.float64))
    alpha, sigma = (float(v) for v in schedule(s))
    assert torch.equal(start.at(s), alpha * X0 + sigma * p.eps)
    assert float((p.x0 - X0).abs().max()) > 1e-6


def test_a_grid_that_rises_again_is_inverted_once():
    schedule = VPLinear()
    start = Inversion(bind(gaussian(schedule), Condition.empty(2)), X0, torch.tensor([1.0, 0.5, 0.75, 0.5, 0.0]), 0.8)
    assert start.calls == 3
    assert all(start.at(t).isfinite().all() for t in start.times)


@pytest.mark.parametrize("refine", [0, 2])
def test_preparing_yields_once_a_call(refine):
    asked = []

    def network(x, t, condition):
        asked.append(float(t[0]))
        return torch.zeros_like(x)

    source = bind(Preconditioned(network, MINI, "v"), Condition.empty(2))
    start = Inversion(source, X0, grid("uniform", 5, MINI), 0.5, refine)
    for count, _ in enumerate(start.prepare(), 1):
        assert len(asked) == count
    assert len(asked) == start.calls == 5 * (1 + refine)
    start.at(0.5)
    assert len(asked) == start.calls


@pytest.mark.parametrize(("kind", "time"), [("x0", "t"), ("score", "t"), ("edm", "edm")])
def test_no_network_is_asked_at_the_clean_end(kind, time):
    """x0 and score networks have no eps there, and EDM's own time is minus infinity."""

    def network(x, t, condition):
        assert t.isfinite().all()
        return 0.1 * x

    source = bind(Preconditioned(network, EDM(), kind, time), Condition.empty(2))
    assert Inversion(source, X0, grid("uniform", 5, EDM()), 0.5, 2).at(0.5).isfinite().all()


def test_strength_0_is_the_picture_to_the_bit():
    start = inverted(VPLinear(), strength=0.0)
    x, times = start(start.source, None, NOISE)
    assert times.tolist() == [0]
    assert torch.equal(x, X0)
    assert start.calls == 0


def test_a_picture_of_a_batch_equals_it_alone():
    both, alone = inverted(VPLinear(), refine=3), inverted(VPLinear(), refine=3, x0=X0[1:])
    torch.testing.assert_close(both.at(0.6)[1:], alone.at(0.6), rtol=0, atol=1e-12)


def test_it_begins_where_sdedit_begins():
    times = partial(grid, "karras", 6, STABLE)
    source = bind(gaussian(STABLE), Condition.empty(2))
    assert torch.equal(Inversion(source, X0, times, 0.5).times, NoisedStart(X0, 0.5)(source, times, NOISE)[1])


def test_impossible_options_are_refused():
    with pytest.raises(BadInput, match="between 0"):
        inverted(VPLinear(), strength=1.2)
    with pytest.raises(BadInput, match="0 or more"):
        inverted(VPLinear(), refine=-1)
