import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sfumato.condition import Condition, Label
from sfumato.denoise import Gaussian, GaussianMixture, Preconditioned, Prediction, bind
from sfumato.predict import NAMES, expand, target
from sfumato.schedule import EDM, VE, Discrete, Flow, VPLinear

double = torch.float64
MEANS = torch.tensor([[1.0, 0.0], [-1.0, 0.5], [0.2, -0.7]], dtype=double)
FULL = torch.tensor([[[0.3, 0.1], [0.1, 0.2]], [[0.1, 0.0], [0.0, 0.4]], [[0.2, -0.1], [-0.1, 0.2]]], dtype=double)
WEIGHTS = torch.tensor([3.0, 2.0, 1.0])
SCHEDULES = [VPLinear(), Flow(), VE(), EDM(), Discrete.named()]
NOTHING = Condition.empty(4)


def time(t: float) -> torch.Tensor:
    return torch.tensor(t, dtype=double)


def points(rows: int = 4) -> torch.Tensor:
    return torch.randn(rows, 2, generator=torch.Generator().manual_seed(3), dtype=double)


@pytest.mark.parametrize("schedule", [VPLinear(), Flow(), VE(sigma_max=2.0)], ids=repr)
def test_the_oracle_is_the_posterior_mean(schedule):
    """Against brute quadrature of E[x0 | x] and of p(x) on a grid in the plane."""
    oracle = GaussianMixture(schedule, MEANS, FULL, WEIGHTS)
    axis = torch.linspace(-6, 6, 481, dtype=double)
    x0 = torch.cartesian_prod(axis, axis)
    log_prior = oracle.log_density(x0, 0.0)
    assert float((log_prior.exp() * (axis[1] - axis[0]) ** 2).sum()) == pytest.approx(1, abs=1e-9)
    alpha, sigma = schedule(0.5)
    p = oracle(points(), time(0.5))
    for row, x in enumerate(points()):
        log_joint = log_prior - ((x - alpha * x0) / sigma).square().sum(-1) / 2
        posterior = log_joint.softmax(0)
        torch.testing.assert_close(p.x0[row], posterior @ x0, rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(p.eps[row], posterior @ ((x - alpha * x0) / sigma), rtol=1e-8, atol=1e-8)
        evidence = log_joint.logsumexp(0) + 2 * (axis[1] - axis[0]).log() - (2 * math.pi * sigma**2).log()
        torch.testing.assert_close(oracle.log_density(x[None], 0.5)[0], evidence, rtol=1e-8, atol=1e-8)


@settings(max_examples=40, deadline=None)
@given(schedule=st.sampled_from(SCHEDULES), t=st.floats(1e-4, 1))
def test_x_splits_into_x0_and_eps_and_eps_is_the_score(schedule, t):
    oracle = GaussianMixture(schedule, MEANS, FULL, WEIGHTS)
    x = points() * float(torch.hypot(*schedule(t)))
    p = oracle(x, time(t))
    torch.testing.assert_close(p.alpha * p.x0 + p.sigma * p.eps, x)
    leaf = x.clone().requires_grad_()
    (score,) = torch.autograd.grad(oracle.log_density(leaf, t).sum(), leaf)
    torch.testing.assert_close(oracle.score(x, t), score, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(p.eps, -p.sigma * score, rtol=1e-6, atol=1e-8)


def test_every_way_to_give_a_covariance_agrees():
    x, t = points(), time(0.4)
    isotropic = [0.3, torch.full((3,), 0.3), torch.full((3, 2), 0.3), torch.eye(2).expand(3, 2, 2) * 0.3]
    answers = [GaussianMixture(VPLinear(), MEANS, covariance)(x, t).x0 for covariance in isotropic]
    for answer in answers[1:]:
        torch.testing.assert_close(answer, answers[0], rtol=1e-6, atol=1e-6)


def test_pictures_are_points():
    means = torch.randn(2, 3, 4, 4, dtype=double)
    x = torch.randn(5, 3, 4, 4, dtype=double)
    t = torch.linspace(0.1, 0.9, 5, dtype=double)
    picture = GaussianMixture(Flow(), means, 0.2)(x, t)
    flat = GaussianMixture(Flow(), means.flatten(1), 0.2)(x.flatten(1), t)
    assert torch.equal(picture.x0.flatten(1), flat.x0)
    for row in range(5):  # one time a row
        alone = GaussianMixture(Flow(), means, 0.2)(x[row : row + 1], t[row])
        torch.testing.assert_close(picture.eps[row : row + 1], alone.eps)


def test_both_ends_are_finite():
    for variance in (0.0, 0.3):
        oracle = GaussianMixture(Flow(), MEANS, variance)
        for t in (0.0, 1.0):
            p = oracle(points(), time(t))
            assert p.x0.isfinite().all()
            assert p.eps.isfinite().all()
    clean = GaussianMixture(Flow(), MEANS, 0.3)(points(), time(0.0))
    torch.testing.assert_close(clean.x0, points())
    torch.testing.assert_close(GaussianMixture(Flow(), MEANS, 0.0)(MEANS + 0.01, time(0.0)).x0, MEANS)


def test_a_label_keeps_its_components():
    oracle = GaussianMixture(VPLinear(), MEANS, FULL, WEIGHTS, labels=torch.tensor([0, 1, 1]))
    x, t = points(3), time(0.5)
    p = oracle(x, t, Condition((Label(torch.tensor([0, 1, 9]), none=9),)))
    alone = GaussianMixture(VPLinear(), MEANS[:1], FULL[:1])(x, t)
    pair = GaussianMixture(VPLinear(), MEANS[1:], FULL[1:], WEIGHTS[1:])(x, t)
    everything = GaussianMixture(VPLinear(), MEANS, FULL, WEIGHTS)(x, t)
    for row, expected in enumerate((alone, pair, everything)):
        torch.testing.assert_close(p.x0[row], expected.x0[row])


def test_draws_have_the_moments_of_the_mixture():
    data = GaussianMixture(VPLinear(), MEANS, FULL, WEIGHTS).draw(20_000)
    weights = WEIGHTS.double() / 6
    mean = weights @ MEANS
    covariance = torch.einsum("k,kij->ij", weights, FULL + torch.einsum("ki,kj->kij", MEANS - mean, MEANS - mean))
    torch.testing.assert_close(data.mean(0), mean, atol=0.02, rtol=0)
    torch.testing.assert_close(data.T.cov(), covariance, atol=0.03, rtol=0)


@pytest.mark.parametrize("covariance", [0.3, FULL[0]])
def test_the_flow_of_a_gaussian_is_the_flow_of_its_score(covariance):
    """d/ds of the closed form is the probability-flow drift alpha'(s) x0 + sigma'(s) eps."""
    oracle = Gaussian(Flow(), torch.tensor([0.5, -0.2], dtype=double), covariance)
    x, t, h = points(), 0.6, 1e-5
    slope = (oracle.flow(x, t, t + h) - oracle.flow(x, t, t - h)) / (2 * h)
    p = oracle(x, time(t))
    torch.testing.assert_close(slope, p.eps - p.x0, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(oracle.flow(oracle.flow(x, 0.9, 0.2), 0.2, 0.9), x)


def test_wrong_covariances_are_refused():
    with pytest.raises(ValueError, match="does not fit"):
        GaussianMixture(Flow(), MEANS, torch.ones(2, 2))
    with pytest.raises(ValueError, match="negative eigenvalue"):
        GaussianMixture(Flow(), MEANS, -1.0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("schedule", [Discrete.named(), Discrete.named("scaled_linear", zero_terminal=True)], ids=repr)
def test_a_perfect_network_of_any_parameterization_is_the_oracle(name, schedule):
    oracle = GaussianMixture(schedule, MEANS, FULL, WEIGHTS)

    def network(x, index, condition):
        t = (index.double() + 1) / 1000
        alpha, sigma = schedule(t)
        if name == "edm":
            x = x * expand(torch.hypot(alpha * 0.5, sigma), x)  # it sees c_in x
        p = oracle(x, t)
        return target(name, p.x0, p.eps, alpha, sigma, before=schedule((t - 0.001).clamp(min=0)))

    x, t = points(), torch.tensor([0.001, 0.2, 0.7, 0.99], dtype=double)
    got, exact = Preconditioned(network, schedule, name)(x, t, NOTHING), oracle(x, t)
    torch.testing.assert_close((got.x0, got.eps), (exact.x0, exact.eps), rtol=1e-7, atol=1e-7)


class Recorder:
    """A network that remembers what it was told."""

    def __init__(self, channels: int = 1):
        self.channels = channels

    def __call__(self, x, t, condition):
        self.x, self.t, self.condition = x, t, condition
        return x.repeat(1, self.channels, *[1] * (x.ndim - 2))


@pytest.mark.parametrize("count", [7, 1000, 1024])
def test_every_time_finds_its_index(count):
    """t = (i + 1)/N brought back by floor misses 5 of 1000."""
    network = Recorder()
    denoise = Preconditioned(network, Discrete.named(count=count))
    index = torch.arange(count)
    denoise(torch.zeros(count, 1), (index + 1).double() / count, Condition.empty(count))
    assert torch.equal(network.t, index.float())
    denoise(torch.zeros(2, 1), time(0.0), Condition.empty(2))
    assert network.t.tolist() == [0, 0]


def test_the_networks_time_is_a_switch():
    x, condition, told = torch.zeros(2, 1), Condition.empty(2), {}
    for mapping in ("rounded", "continuous", "t", "sigma", "edm", lambda t: 1000 * t):
        network = Recorder()
        Preconditioned(network, Discrete.named(), time=mapping)(x, time(0.50063), condition)
        assert network.t.shape == (2,)
        assert network.t.dtype == torch.float32
        told[mapping if isinstance(mapping, str) else "function"] = float(network.t[0])
    kappa = math.exp(4 * told.pop("edm"))
    assert float(Discrete.named().time(kappa)) == pytest.approx(0.50063, abs=1e-5)
    assert told.pop("sigma") == pytest.approx(float(Discrete.named()(0.50063)[1]))
    assert told == pytest.approx({"rounded": 500, "continuous": 499.63, "t": 0.50063, "function": 500.63})
    with pytest.raises(ValueError, match="choose one of rounded, continuous, t, sigma, edm"):
        Preconditioned(Recorder(), Discrete.named(), time="index")
    with pytest.raises(ValueError, match="needs a discrete schedule"):
        Preconditioned(Recorder(), Flow())


def test_edm_scales_what_the_network_sees():
    network = Recorder()
    x = torch.randn(3, 2)
    Preconditioned(network, EDM(), "edm", "edm", sigma_data=0.5)(x, EDM().time(2.0), Condition.empty(3))
    torch.testing.assert_close(network.x, x / math.hypot(0.5, 2.0))
    torch.testing.assert_close(network.t, torch.full((3,), math.log(2) / 4))


@pytest.mark.parametrize("name", sorted({*NAMES} - {"mu"}))  # which is divided by the noise of one step
def test_a_bfloat16_network_is_split_in_float32(name):
    x = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    F = torch.sin(3 * x).bfloat16()
    p = Preconditioned(lambda *_: F, Discrete.named(), name)(x, time(0.01), NOTHING)
    assert p.x.dtype == p.x0.dtype == p.eps.dtype == torch.float32
    exact = Preconditioned(lambda *_: F.double(), Discrete.named(), name)(x.double(), time(0.01), NOTHING)
    torch.testing.assert_close(p.x0.double(), exact.x0, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(p.eps.double(), exact.eps, rtol=1e-5, atol=2e-5)


def test_a_learned_variance_is_kept_as_a_fraction():
    network = Recorder(channels=2)
    x = torch.rand(2, 3, 4, 4) * 2 - 1
    p = Preconditioned(network, Discrete.named(), learned_variance=True)(x, time(0.5), Condition.empty(2))
    assert p.fraction is not None
    torch.testing.assert_close(p.fraction, (x + 1) / 2)
    with pytest.raises(ValueError, match="answered"):
        Preconditioned(network, Discrete.named())(x, time(0.5), Condition.empty(2))


def test_an_unknown_parameterization_is_refused():
    with pytest.raises(ValueError, match="choose one of eps"):
        Preconditioned(Recorder(), Discrete.named(), "epsilon")
    with pytest.raises(ValueError, match="mean of a step of a table"):
        Preconditioned(Recorder(), VPLinear(), "mu", "t")


def prediction(t=0.3, schedule=None) -> Prediction:
    return GaussianMixture(schedule or VPLinear(), MEANS, FULL)(points(), time(t))


def test_moving_one_moves_the_other_so_that_x_stays():
    p = prediction()
    for moved in (p.moved(x0=p.x0 + 0.3), p.moved(eps=p.eps * 1.2)):
        torch.testing.assert_close(p.alpha * moved.x0 + p.sigma * moved.eps, p.x)
    assert torch.equal(p.moved(x0=p.x0 + 0.3).x0, p.x0 + 0.3)
    assert torch.equal(p.moved(eps=p.eps * 2).eps, p.eps * 2)


def test_moving_nowhere_changes_nothing_to_the_bit():
    p = prediction(t=1e-3)
    assert torch.equal(p.moved(x0=p.x0.clone()).eps, p.eps)
    assert torch.equal(p.moved(eps=p.eps.clone()).x0, p.x0)


def test_both_given_both_kept():
    p = prediction()
    moved = p.moved(x0=p.x0 + 1, eps=p.eps + 1)
    assert torch.equal(moved.x0, p.x0 + 1)
    assert torch.equal(moved.eps, p.eps + 1)


def test_what_x_does_not_determine_stays():
    clean, noise = prediction(0.0, Flow()), prediction(1.0, Flow())
    assert torch.equal(clean.moved(x0=clean.x0 + 1).eps, clean.eps)
    assert torch.equal(noise.moved(eps=noise.eps + 1).x0, noise.x0)


def test_bind_gives_samplers_their_view():
    oracle = GaussianMixture(Flow(), MEANS, FULL)
    denoise = bind(oracle, NOTHING)
    assert denoise.schedule is oracle.schedule
    assert torch.equal(denoise(points(), time(0.5)).x0, oracle(points(), time(0.5)).x0)


@pytest.mark.parametrize("name", sorted({*NAMES} - {"mu"}))  # which needs a table
def test_output_is_the_networks_own_and_a_scaled_network_sees_unit_variance(name):
    """The backbone answers its input, so `output` is that input: c_in x where it is scaled, x elsewhere."""
    x = points() * 3
    for schedule in (VE(), EDM(), VPLinear()):
        alpha, sigma = schedule(time(0.7))
        c_in = 1 / torch.hypot(alpha * 2.0, sigma)
        for scaled in (None, True, False):
            network = Preconditioned(lambda x, t, c: x, schedule, name, "t", sigma_data=2.0, scaled=scaled)
            seen = network.output(x, time(0.7), NOTHING)
            torch.testing.assert_close(seen, c_in * x if scaled or (scaled is None and name == "edm") else x)
