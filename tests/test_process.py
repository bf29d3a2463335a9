"""The chain against Ho et al.'s equations and against itself; the SDE against the marginals it must have."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial import legendre

from sfumato.denoise import Gaussian
from sfumato.noise import KeyedNoise
from sfumato.picture import BadInput
from sfumato.process import chain, diffusion, drift, posterior, reverse_drift, transition
from sfumato.schedule import EDM, VE, Cosine, Discrete, Flow, SubVP, VPLinear, VPScaledLinear, noised, shifted

double = torch.float64
BETAS = torch.linspace(1e-4, 0.02, 1000, dtype=double)
TABLE = Discrete(BETAS)
ZERO = Discrete.named("scaled_linear", 100, 0.00085, 0.12, zero_terminal=True)
SCHEDULES = [
    TABLE,
    ZERO,
    VPLinear(),
    VPScaledLinear(),
    SubVP(),
    Cosine(),
    VE(),
    Flow(),
    Flow(shift=3.0),
    EDM(),
    shifted(VPLinear(), 2.0),
]
each = pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
KNOTS = torch.arange(1001, dtype=double) / 1000


def test_a_step_between_knots_is_beta():
    """Ho et al. 2020, eq. 2: q(x_t | x_{t-1}) = N(sqrt(1 - beta_t) x_{t-1}, beta_t)."""
    factor, variance = transition(TABLE, KNOTS[:-1], KNOTS[1:])
    torch.testing.assert_close(factor, (1 - BETAS).sqrt(), rtol=1e-11, atol=0)
    torch.testing.assert_close(variance, BETAS, rtol=1e-10, atol=0)


def test_the_last_step_to_zero_terminal_signal_keeps_nothing():
    factor, variance = transition(ZERO, 0.99, 1.0)
    assert (float(factor), float(variance)) == (0, 1)
    a, b, variance = posterior(ZERO, 0.99, 1.0)
    alpha, sigma = ZERO(0.99)
    torch.testing.assert_close(torch.stack([a, b, variance]), torch.stack([alpha, torch.zeros_like(a), sigma**2]))


@each
def test_from_the_picture_a_step_is_the_marginal(schedule):
    """Ho et al. 2020, eq. 4."""
    t = torch.linspace(0.01, 1, 30).double()
    factor, variance = transition(schedule, torch.zeros_like(t), t)
    alpha, sigma = schedule(t)
    torch.testing.assert_close(factor, alpha)
    torch.testing.assert_close(variance, sigma.square())


def test_the_posterior_between_knots_is_that_of_ho_et_al():
    """Ho et al. 2020, eq. 6 and 7, in alpha_bar."""
    bar = torch.cumprod(1 - BETAS, 0)
    before = torch.cat([torch.ones(1, dtype=double), bar[:-1]])
    a, b, variance = posterior(TABLE, KNOTS[:-1], KNOTS[1:])
    torch.testing.assert_close(a, before.sqrt() * BETAS / (1 - bar), rtol=1e-9, atol=0)
    torch.testing.assert_close(b, (1 - BETAS).sqrt() * (1 - before) / (1 - bar), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(variance, (1 - before) / (1 - bar) * BETAS, rtol=1e-9, atol=1e-12)


times = st.lists(st.floats(0.05, 1), min_size=3, max_size=3, unique=True).map(sorted)


@settings(max_examples=200, deadline=None)
@given(schedule=st.sampled_from(SCHEDULES), times=times)
def test_two_steps_are_one(schedule, times):
    """Chapman-Kolmogorov: r = r_2 r_1, beta = beta_2 + r_2^2 beta_1."""
    s, u, t = times
    (r1, v1), (r2, v2), (r, v) = transition(schedule, s, u), transition(schedule, u, t), transition(schedule, s, t)
    torch.testing.assert_close(r2 * r1, r, rtol=1e-9, atol=1e-15)
    torch.testing.assert_close(v2 + r2.square() * v1, v, rtol=1e-9, atol=1e-13)


@settings(max_examples=200, deadline=None)
@given(schedule=st.sampled_from(SCHEDULES), times=times, x=st.tuples(*[st.floats(-3, 3)] * 3))
def test_bayes_rule_holds(schedule, times, x):
    """q(x_s | x_0) q(x_t | x_s) = q(x_t | x_0) q(x_s | x_t, x_0), as log densities at any three points."""
    s, _, t = times
    x0, z, w = x
    (alpha_s, sigma_s), (alpha_t, sigma_t) = schedule(s), schedule(t)
    r, beta = transition(schedule, s, t)
    a, b, tilde = posterior(schedule, s, t)
    x_t = alpha_t * x0 + sigma_t * w
    x_s = a * x0 + b * x_t + tilde.sqrt() * z

    def log_normal(x, mean, variance):
        return -((x - mean) ** 2 / variance + torch.log(2 * math.pi * variance)) / 2

    left = log_normal(x_s, alpha_s * x0, sigma_s**2) + log_normal(x_t, r * x_s, beta)
    right = log_normal(x_t, alpha_t * x0, sigma_t**2) + log_normal(x_s, a * x0 + b * x_t, tilde)
    assert float(left) == pytest.approx(float(right), rel=1e-5, abs=1e-5)


@each
def test_no_step_is_no_step_and_the_last_one_is_the_picture(schedule):
    factor, variance = transition(schedule, 0.4, 0.4)
    assert (float(factor), float(variance)) == (1, 0)
    a, b, tilde = posterior(schedule, 0.0, 0.4)
    assert (float(a), float(b), float(tilde)) == (1, 0, 0)
    assert [float(v) for v in transition(schedule, 1.0, 1.0)] == [1, 0]


def test_times_that_fall_are_refused():
    with pytest.raises(BadInput, match="give s <= t"):
        transition(VPLinear(), 0.5, 0.4)
    with pytest.raises(BadInput, match="give t above 0"):
        posterior(VPLinear(), 0.0, 0.0)


class Units:
    """Noise that is 1 in one row at one step: row i at step i, and 0 elsewhere."""

    def __call__(self, like, *key):
        assert key[0] == "forward"
        z = torch.zeros_like(like)
        z[key[1]] = 1
        return z


@each
def test_the_chain_ends_at_the_marginal(schedule):
    """It is affine in its noises: a row for each gives the variance of its end exactly, without drawing any."""
    steps = 7
    rows = torch.full((steps + 1, 1), 0.7, dtype=double)
    *_, end = chain(schedule, rows, torch.linspace(0, 1, steps + 1, dtype=double), Units())
    alpha, sigma = schedule(1.0)
    mean = end[-1, 0]
    torch.testing.assert_close(mean, 0.7 * alpha)
    torch.testing.assert_close((end[:-1, 0] - mean).square().sum(), sigma.square())


def test_the_chain_begins_where_it_is_put_and_is_one_path():
    x, noise = torch.ones(2, 1, 4, 4), KeyedNoise([3, 4])
    path = list(chain(VPLinear(), x, torch.linspace(0, 1, 6).double(), noise))
    assert len(path) == 6
    assert torch.equal(path[0], x)
    assert {a.dtype for a in path} == {torch.float32}
    alone = list(chain(VPLinear(), x[1:], torch.linspace(0, 1, 6).double(), KeyedNoise([4])))
    assert torch.equal(path[-1][1:], alone[-1])
    one = list(chain(VPLinear(), x, torch.tensor([0.0, 0.5]), noise))[-1]
    torch.testing.assert_close(one, noised(VPLinear(), x, 0.5, noise(x, "forward", 0)))


@each
def test_the_sde_has_the_marginals_of_the_schedule(schedule):
    """d log alpha = f dt and d sigma^2 = (2 f sigma^2 + g^2) dt, integrated between knots by Gauss and Legendre."""
    knots = torch.linspace(0.1, 0.9, 801).double()  # every knot of the tables is one of them
    nodes, weights = (torch.tensor(v, dtype=double) for v in legendre.leggauss(6))
    width = (knots[1:] - knots[:-1])[:, None]
    t = knots[:-1, None] + width * (nodes + 1) / 2
    f, g2 = drift(schedule, t), diffusion(schedule, t)
    (_, sigma), (alphas, sigmas) = schedule(t), schedule(knots)
    torch.testing.assert_close((f * weights * width / 2).sum(1), alphas.log().diff(), rtol=1e-5, atol=1e-10)
    slope = 2 * f * sigma.square() + g2
    torch.testing.assert_close((slope * weights * width / 2).sum(1), sigmas.square().diff(), rtol=1e-5, atol=1e-10)
    assert (g2 > 0).all()


@each
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_the_reverse_process_keeps_a_gaussians_marginals(schedule, eta):
    """For a Gaussian of mean m and variance v the reverse drift is affine in x: its mean and variance must move along
    m(t) = alpha m, V(t) = alpha^2 v + sigma^2; dm/dt is the drift there, dV/dt = 2 V slope - eta^2 g^2."""
    mean, variance, t = 0.5, 0.3, torch.tensor(0.45, dtype=double, requires_grad=True)
    alpha, sigma = schedule(t)
    V = alpha.square() * variance + sigma.square()
    moves = [0.0 if not m.requires_grad else float(torch.autograd.grad(m, t, retain_graph=True)[0])
             for m in (mean * alpha, V)]  # fmt: skip
    now = t.detach()
    data = Gaussian(schedule, torch.tensor([mean], dtype=double), variance)
    centre = (mean * alpha).detach()
    x = torch.stack([centre, centre + 1])[:, None]
    at_mean, above = reverse_drift(schedule, x, now, data.score(x, now), eta)[:, 0].tolist()
    assert at_mean == pytest.approx(moves[0], rel=1e-9, abs=1e-9)
    spread = 2 * float(V.detach()) * (above - at_mean) - eta**2 * float(diffusion(schedule, now))
    assert spread == pytest.approx(moves[1], rel=1e-8, abs=1e-9)
