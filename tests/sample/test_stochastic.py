"""Langevin dynamics, Euler-Maruyama, predictor-corrector and consistency sampling, against what theory says of them."""

import math
from itertools import pairwise

import pytest
import torch
import units
from one_seed import OneSeed

from sfumato.condition import Condition
from sfumato.denoise import Gaussian, GaussianMixture, Preconditioned, Prediction, bind
from sfumato.guide import Guided
from sfumato.noise import KeyedNoise
from sfumato.picture import BadInput
from sfumato.sample import DDIM, DDPM, Consistency, EulerMaruyama, Langevin, PredictorCorrector, trajectory
from sfumato.schedule import EDM, VE, Cosine, Discrete, Flow, SubVP, VPLinear
from sfumato.times import grid

double = torch.float64
SCHEDULES = [Discrete.named(), VPLinear(), SubVP(), Cosine(), VE(), Flow(), EDM()]
MEANS = torch.tensor([[1.0, 0.0], [-1.0, 0.5]], dtype=double)
NOISE = KeyedNoise(range(6))
each_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)


def walk(denoiser, solver, times, x, noise=NOISE):
    for step in trajectory(bind(denoiser, Condition.empty(len(x))), solver, x, times, noise):
        x = step.x
    return x


def one(denoiser, solver, x, t, s, noise=NOISE):
    t, s = (torch.as_tensor(u, dtype=double) for u in (t, s))
    denoise = bind(denoiser, Condition.empty(len(x)))
    return solver.step(denoise, x, t, s, solver.init(x, torch.stack([t, s])), noise)[0]


def marginal(schedule, t, mean, variance):
    alpha, sigma = (float(a) for a in schedule(t))
    return alpha * mean, alpha**2 * variance + sigma**2


X = torch.linspace(-2, 2, 12).double().reshape(6, 2)


# Langevin dynamics


def test_a_langevin_move_is_the_papers():
    """Song & Ermon 2019, algorithm 1, line 6, with sigma_L = 0.01 and epsilon = 2e-5."""
    schedule = VE(sigma_min=0.01)
    data, t = GaussianMixture(schedule, MEANS, 0.1), torch.tensor(0.3, dtype=double)
    a = 2e-5 * float(schedule(t)[1]) ** 2 / 0.01**2
    expected = X + a / 2 * data.score(X, t) + math.sqrt(a) * NOISE(X, "again", 0)
    torch.testing.assert_close(one(data, Langevin(1, 0.2), X, t, t), expected)


@pytest.mark.parametrize("size", [0.2, 0.5])
@each_schedule
def test_langevin_comes_to_rest_at_the_marginal(schedule, size):
    """On a Gaussian of variance V a move keeps V/(1 - a/(4 V)), a = size sigma^2: the marginal, as size goes to 0."""
    mean, variance, t = 0.7, 0.3, schedule.time(1.5)
    data = Gaussian(schedule, torch.tensor([mean], dtype=double), variance)
    times = torch.stack([t, t])
    at, spread = units.end(data, Langevin(int(40 / size), size), times, -3.0, 9.0)
    expected_mean, V = marginal(schedule, t, mean, variance)
    assert at == pytest.approx(expected_mean, abs=1e-3)
    assert spread == pytest.approx(V / (1 - size * float(schedule(t)[1]) ** 2 / (4 * V)), rel=1e-5)
    assert spread == pytest.approx(V, rel=size / 3)


def test_langevin_reaches_the_mixtures_stationary_distribution():
    """At one noisy level, from a start far from it: both modes, their weights and their spread."""
    schedule = VE()
    t = schedule.time(1.8)
    data = GaussianMixture(schedule, 3 * MEANS, 0.1, torch.tensor([0.7, 0.3]))
    x, noise = torch.full((1500, 2), 4.0, dtype=double), OneSeed()
    end = walk(data, Langevin(250, 0.2), torch.stack([t, t]), x, noise)
    exact = data.draw(40_000) + 1.8 * OneSeed(1)(torch.zeros(40_000, 2, dtype=double))
    torch.testing.assert_close(end.mean(0), exact.mean(0), rtol=0, atol=0.2)
    torch.testing.assert_close(end.T.cov(), exact.T.cov(), rtol=0.12, atol=0.2)
    # half of what is drawn lies where the exact density is above its own median
    density = data.log_density(exact, t).median()
    assert float((data.log_density(end, t) > density).double().mean()) == pytest.approx(0.5, abs=0.05)


def test_annealing_recovers_the_weights_of_far_modes_and_one_level_does_not():
    """Song & Ermon 2019, section 3.2.2 and figure 3."""
    schedule = VE(sigma_min=0.05, sigma_max=8.0)
    data = GaussianMixture(schedule, 3 * MEANS, 0.1, torch.tensor([0.85, 0.15]))
    noise = OneSeed()
    x = noise(torch.zeros(1000, 2, dtype=double), "start") * 8
    levels = grid("log-snr", 20, schedule)

    def share(end):
        return float(((end - 3 * MEANS[0]).norm(dim=1) < (end - 3 * MEANS[1]).norm(dim=1)).double().mean())

    annealed = walk(data, Langevin(20, 0.5), levels, x, noise)
    assert share(annealed) == pytest.approx(0.85, abs=0.05)
    nearest = 3 * MEANS[((annealed[:, None] - 3 * MEANS).norm(dim=-1)).argmin(1)]
    torch.testing.assert_close((annealed - nearest).var(0), torch.full((2,), 0.1, dtype=double), rtol=0.2, atol=0)
    plain = walk(data, Langevin(200, 0.5), levels[-2:], x, noise)
    assert share(plain) < 0.7


def test_langevin_is_the_same_chain_for_every_schedule():
    kappas = torch.logspace(1, -2, 7).double()
    ends = []
    for schedule in (VE(), VPLinear(), Flow(), SubVP(), Cosine()):
        times = torch.cat([schedule.time(kappas), torch.zeros(1, dtype=double)])
        alpha = float(schedule(times[0])[0])
        ends.append(walk(GaussianMixture(schedule, MEANS, 0.1), Langevin(3), times, 5 * alpha * X))
    for end in ends[1:]:
        torch.testing.assert_close(end, ends[0])


@each_schedule
def test_annealed_langevin_lands_on_the_data(schedule):
    data = GaussianMixture(schedule, MEANS, 0.05)
    x = NOISE(torch.zeros(6, 2, dtype=double), "start") * float(torch.hypot(*schedule(1.0)))
    end = walk(data, Langevin(), grid("log-snr", 40, schedule), x)
    assert ((end[:, None] - MEANS).norm(dim=-1).amin(1) < 4.5 * math.sqrt(0.05)).all()


def test_langevins_end_is_a_value():
    schedule, t = VE(), torch.tensor(0.2, dtype=double)
    data = GaussianMixture(schedule, MEANS, 0.1)
    noisy = one(data, Langevin(2, end="noisy"), X, t, 0.0)
    torch.testing.assert_close(one(data, Langevin(2), X, t, 0.0), data(noisy, t).x0)
    assert not torch.allclose(noisy, data(noisy, t).x0)
    torch.testing.assert_close(noisy, one(data, Langevin(2), X, t, t))


# Euler-Maruyama


def test_an_euler_maruyama_step_is_the_textbooks():
    schedule, t, s = VPLinear(), torch.tensor(0.6, dtype=double), torch.tensor(0.55, dtype=double)
    data = GaussianMixture(schedule, MEANS, 0.1)
    beta, h = 0.1 + 19.9 * 0.6, 0.05
    expected = X + h * (beta / 2 * X + beta * data.score(X, t)) + math.sqrt(beta * h) * NOISE(X)
    torch.testing.assert_close(one(data, EulerMaruyama(), X, t, s), expected)


class Brownian(VE):
    """alpha = 1 and sigma^2 = 25 t: the variance is the time."""

    def __call__(self, t):
        t = torch.as_tensor(t, dtype=double)
        return torch.ones_like(t), 5 * t.sqrt()


def test_in_the_time_of_the_variance_euler_maruyama_is_ddpm():
    data = GaussianMixture(Brownian(), MEANS, 0.1)
    for t, s in ((1.0, 0.7), (0.3, 0.1), (0.1, 0.0)):
        torch.testing.assert_close(
            one(data, EulerMaruyama(), X, t, s), one(data, DDPM("large"), X, t, s), rtol=1e-9, atol=1e-9
        )


@pytest.mark.parametrize("schedule", [Cosine(), Flow(), Discrete.named(count=50, zero_terminal=True)], ids=repr)
def test_euler_maruyama_leaves_pure_noise_as_ddpm_does(schedule):
    data = GaussianMixture(schedule, MEANS, 0.1)
    torch.testing.assert_close(one(data, EulerMaruyama(), X, 1.0, 0.9), one(data, DDPM(), X, 1.0, 0.9))
    assert walk(data, EulerMaruyama(), grid("uniform", 30, schedule), X).isfinite().all()


# Predictor-corrector


class Same:
    """The same noise for every key, so that two orders of asking compare."""

    def at(self, *key):
        return self

    def __call__(self, like, *key):
        return NOISE(like)


@pytest.mark.parametrize("predictor", ["ddpm", "ddim", "euler-maruyama"])
def test_predictor_corrector_is_repeated_knots(predictor):
    solvers = {"ddpm": DDPM(), "ddim": DDIM(), "euler-maruyama": EulerMaruyama()}
    schedule, solver = VPLinear(), PredictorCorrector(predictor, snr=0.2, corrections=2)
    data, times = GaussianMixture(schedule, MEANS, 0.1), grid("uniform", 4, schedule)
    x = X
    for t, s in pairwise(times):
        x = one(data, solvers[predictor], x, t, s, Same())
        if s > 0:
            x = one(data, Langevin(2, 0.16), x, s, s, Same())
    torch.testing.assert_close(walk(data, solver, times, X, Same()), x)
    corrected = one(data, solver, X, 0.5, 0.5, Same())
    torch.testing.assert_close(corrected, one(data, Langevin(2, 0.16), X, 0.5, 0.5, Same()))


def test_without_corrections_the_predictor_is_left():
    schedule = Flow()
    data, times = GaussianMixture(schedule, MEANS, 0.1), grid("uniform", 5, schedule)
    alone = walk(data, DDPM(), times, X)
    assert torch.equal(walk(data, PredictorCorrector(corrections=0), times, X), alone)
    assert not torch.allclose(walk(data, PredictorCorrector(), times, X), alone)


def test_the_correctors_step_is_that_of_the_paper_with_expected_norms():
    """Song et al. 2021, algorithm 4: epsilon = 2 (r |z|/|score|)^2; score = -eps/sigma, and |eps| is |z| on average."""
    schedule, t, r = VE(), torch.tensor(0.4, dtype=double), 0.16
    data = GaussianMixture(schedule, MEANS, 0.1)
    epsilon = 2 * (r * float(schedule(t)[1])) ** 2
    z = NOISE(X, "corrector", "again", 0)
    expected = X + epsilon * data.score(X, t) + math.sqrt(2 * epsilon) * z
    torch.testing.assert_close(one(data, PredictorCorrector(snr=r), X, t, t), expected)


@pytest.mark.parametrize("schedule", [VE(), VPLinear()], ids=repr)
@pytest.mark.parametrize("predictor", ["ddpm", "euler-maruyama"])
def test_corrections_mend_a_coarse_predictor(predictor, schedule):
    """How far the marginal's variance is off after ten steps, exactly."""
    mean, variance = 0.5, 0.3
    data = Gaussian(schedule, torch.tensor([mean], dtype=double), variance)
    times = schedule.time(torch.logspace(1, math.log10(0.3), 11).double())
    begin, goal = (marginal(schedule, t, mean, variance) for t in times[[0, -1]])

    def missed(corrections):
        solver = PredictorCorrector(predictor, corrections=corrections)
        return abs(units.end(data, solver, times, *begin)[1] - goal[1])

    alone, one, sixteen = missed(0), missed(1), missed(16)
    assert sixteen < one < alone
    assert sixteen < 0.4 * alone


# Consistency


class Jump:
    """The exact consistency function of a Gaussian: where its probability flow ends."""

    consistency = True

    def __init__(self, schedule, mean, variance):
        self.schedule, self.data = schedule, Gaussian(schedule, torch.tensor([mean], dtype=double), variance)

    def __call__(self, x, t, condition):
        p = self.data(x, t)
        x0 = self.data.flow(x, t, 0.0)
        return Prediction(x, x0, (x - p.alpha * x0) / p.sigma, p.alpha, p.sigma)


@pytest.mark.parametrize("steps", [1, 2, 4])
@each_schedule
def test_a_consistency_function_has_the_right_marginal_at_any_number_of_steps(schedule, steps):
    mean, variance = 0.5, 0.3
    times = grid("uniform", steps, schedule)
    got = units.end(Jump(schedule, mean, variance), Consistency(), times, *marginal(schedule, 1.0, mean, variance))
    assert got == pytest.approx((mean, variance))


def test_a_denoiser_in_its_place_loses_spread_in_few_steps():
    schedule = VPLinear()
    data = Gaussian(schedule, torch.tensor([0.5], dtype=double), 0.3)
    begin = marginal(schedule, 1.0, 0.5, 0.3)
    one, four = (units.end(data, Consistency(), grid("uniform", n, schedule), *begin)[1] for n in (1, 4))
    assert one < 0.01
    assert one < four < 0.2


class Plain(Jump):
    consistency = False


def test_a_consistency_function_refuses_other_samplers_under_its_guidance_too():
    schedule, x, times = VPLinear(), X[:, :1], grid("uniform", 2, VPLinear())
    jump = Jump(schedule, 0.5, 0.3)
    for denoiser in (jump, Guided(jump, [])):
        assert walk(denoiser, Consistency(), times, x).isfinite().all()
        for solver in (DDIM(), PredictorCorrector()):
            with pytest.raises(BadInput, match='choose the sampler "consistency"'):
                walk(denoiser, solver, times, x)
    assert walk(Plain(schedule, 0.5, 0.3), DDIM(), times, x).isfinite().all()
    network = Preconditioned(lambda x, time, condition: x, schedule, "v", "t", consistency=True)
    with pytest.raises(BadInput, match="DDIM cannot walk"):
        walk(network, DDIM(), times, x)


@pytest.mark.parametrize("solver", [Langevin(), EulerMaruyama(), PredictorCorrector(), Consistency()], ids=repr)
def test_none_of_them_walks_upwards(solver):
    data = GaussianMixture(VPLinear(), MEANS, 0.1)
    with pytest.raises(ValueError, match="invert with ddim"):
        one(data, solver, X, 0.4, 0.5)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: Langevin(0), "repeats is 0: give a whole number from 1"),
        (lambda: Langevin(size=4.0), "between 0 and 4"),
        (lambda: Langevin(end="clean"), "denoised or noisy"),
        (lambda: PredictorCorrector("heun"), "give ddpm, ddim or euler-maruyama"),
        (lambda: PredictorCorrector(snr=0.0), "between 0 and 1"),
        (lambda: PredictorCorrector(corrections=-1), "corrections is -1: give a whole number from 0"),
    ],
)
def test_wrong_options_are_refused(wrong, said):
    with pytest.raises(BadInput, match=said):
        wrong()
