"""Bounds and densities against the closed forms of the exact oracles."""

import itertools
import math

import likelihood
import pytest
import torch
from torch import Tensor

from sfumato import bound
from sfumato.condition import Condition
from sfumato.denoise import Gaussian, GaussianMixture, Prediction, bind
from sfumato.evaluate.likelihood import (
    conditional_entropy,
    conditional_entropy_bounds,
    dequantized,
    exact,
    hutchinson,
    in_bits,
    log_likelihood,
    variational_bound,
)
from sfumato.noise import KeyedNoise
from sfumato.picture import BadInput
from sfumato.sample import DDPM, RK45, Heun
from sfumato.schedule import EDM, VE, Cosine, Discrete, Flow, SubVP, VPLinear, noised
from sfumato.times import grid

double = torch.float64
SCHEDULES = [Discrete.named(), VPLinear(), SubVP(), Cosine(), VE(), Flow(), EDM()]
MEANS = torch.tensor([[1.0, 0.0], [-1.0, 0.5]], dtype=double)
COVARIANCES = torch.tensor([[[0.20, 0.05], [0.05, 0.10]], [[0.10, -0.04], [-0.04, 0.08]]], dtype=double)
NOISE = KeyedNoise(range(6))
each_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)


def mixture(schedule):
    return GaussianMixture(schedule, MEANS, COVARIANCES, torch.tensor([0.7, 0.3]))


class Together:
    """The noise of many rows, drawn at once."""

    def __call__(self, like, *key):
        return KeyedNoise([0])(like[None], *key)[0]


def bound_to(denoiser, rows=6):
    return bind(denoiser, Condition.empty(rows))


# The probability flow


@each_schedule
def test_the_likelihood_of_a_mixture_is_its_closed_form(schedule):
    """Within 1 %, and for every picture by itself."""
    data = mixture(schedule)
    x = data.draw(6)
    found, true = log_likelihood(bound_to(data), x), data.log_density(x)
    assert found.dtype == double
    assert float(found.mean()) == pytest.approx(float(true.mean()), rel=0.01)
    torch.testing.assert_close(found, true, rtol=0.01, atol=0.02)


@pytest.mark.parametrize("schedule", [Cosine(), Flow()], ids=repr)
def test_from_pure_noise_it_is_exact_at_the_time_where_it_begins(schedule):
    data = mixture(schedule)
    times = torch.tensor([1.0, 0.05], dtype=double)
    x = data.draw(6)
    found = log_likelihood(bound_to(data), x, sampler=RK45(1e-8, 1e-8), times=times)
    torch.testing.assert_close(found, data.log_density(x, 0.05), rtol=0, atol=1e-5)


def test_pictures_of_any_shape_and_precision():
    schedule = Cosine()
    root = torch.randn(8, 8, generator=torch.Generator().manual_seed(0), dtype=double) / 4
    data = Gaussian(
        schedule, torch.linspace(-0.5, 0.5, 8).double().reshape(2, 2, 2), root @ root.T + 0.05 * torch.eye(8)
    )
    x = data.draw(6)
    torch.testing.assert_close(log_likelihood(bound_to(data), x), data.log_density(x), rtol=0.01, atol=0.01)
    single = log_likelihood(bound_to(data), x.float())
    torch.testing.assert_close(single, data.log_density(x), rtol=0.01, atol=0.01)


def test_tolerances_are_what_the_error_follows_for_each_picture_alone():
    data = mixture(Flow())
    x = data.draw(6)
    tight = log_likelihood(bound_to(data), x, sampler=RK45(1e-8, 1e-8))
    errors = [
        float((log_likelihood(bound_to(data), x, sampler=RK45(tol, tol)) - tight).abs().max())
        for tol in (1e-2, 1e-4, 1e-6)
    ]
    assert errors[0] > 10 * errors[1] > 100 * errors[2]
    assert errors[2] < 1e-4
    alone = log_likelihood(bound_to(data, 1), x[2:3])
    torch.testing.assert_close(alone, log_likelihood(bound_to(data), x)[2:3], rtol=1e-12, atol=1e-12)


def test_fixed_steps_converge_at_the_samplers_order():
    data = mixture(Cosine())
    x, knots = data.draw(6), torch.linspace(0.95, 0.05, 65).double()
    tight = log_likelihood(bound_to(data), x, sampler=RK45(1e-8, 1e-8), times=knots[[0, -1]])

    def error(stride):
        found = log_likelihood(bound_to(data), x, sampler=Heun(), times=knots[::stride])
        return float((found - tight).square().mean().sqrt())

    assert math.log2(error(4) / error(1)) / 2 == pytest.approx(2, abs=0.15)


class Signs:
    """The noise of one of the 2^d patterns of signs."""

    def __init__(self, signs):
        self.signs = torch.tensor(signs, dtype=double)

    def __call__(self, like, *key):
        return self.signs.expand_as(like)


def test_hutchinsons_estimate_averages_to_the_trace():
    """Over all patterns of signs, exactly; and a single pattern is off."""
    data, t = mixture(Flow()), torch.tensor(0.3, dtype=double)
    x = data.draw(6).requires_grad_()
    p = data(x, t)
    u = p.eps - p.x0
    true = exact(u, x).sum(1)
    estimates = [hutchinson(Signs(signs))(u, x).sum(1) for signs in itertools.product((1.0, -1.0), repeat=2)]
    torch.testing.assert_close(torch.stack(estimates).mean(0), true)
    assert not torch.allclose(estimates[0], true, atol=1e-3)
    tau = 1e-6  # the trace itself, by differences
    steps = [(data(x + tau * e, t), data(x - tau * e, t)) for e in torch.eye(2, dtype=double)]
    differences = [((up.eps - up.x0) - (down.eps - down.x0))[:, i] / (2 * tau) for i, (up, down) in enumerate(steps)]
    torch.testing.assert_close(sum(differences), true, rtol=1e-6, atol=1e-6)


def test_more_probes_come_closer_and_independent_axes_need_one():
    data, t = mixture(Cosine()), torch.tensor(0.3, dtype=double)
    x = data.draw(200).requires_grad_()
    p = data(x, t)
    u = p.eps - p.x0

    def error(probes):
        return float((hutchinson(Together(), probes)(u, x).sum(1) - exact(u, x).sum(1)).square().mean().sqrt())

    assert error(1) / error(64) == pytest.approx(8, rel=0.3)
    apart = Gaussian(Cosine(), torch.zeros(3, dtype=double), torch.tensor([0.1, 0.2, 0.3], dtype=double))
    x = apart.draw(6)
    found = log_likelihood(bound_to(apart), x, divergence=hutchinson(NOISE))
    torch.testing.assert_close(found, log_likelihood(bound_to(apart), x), rtol=0, atol=1e-6)


def test_a_network_without_gradients_is_refused():
    data = mixture(Flow())

    def frozen(x: Tensor, t: Tensor) -> Prediction:
        p = data(x.detach(), t)
        return Prediction(p.x, p.x0, p.eps, p.alpha, p.sigma)

    frozen.schedule = data.schedule
    with pytest.raises(BadInput, match="no gradients"):
        log_likelihood(frozen, data.draw(6))


def test_bits_of_dequantized_pictures():
    """Values spread evenly over 256 levels cost 8 bits; -log p/log 2 plus the bin's -log2 says so."""
    bin = 2 / 255
    flat = torch.full((3,), -4 * math.log(256 * bin), dtype=double)
    torch.testing.assert_close(in_bits(flat, 4), torch.full((3,), 8.0, dtype=double))
    torch.testing.assert_close(in_bits(flat, 4, levels=None), torch.full((3,), math.log2(256 * bin), dtype=double))
    x0 = torch.linspace(-1, 1, 256, dtype=double).expand(6, 256)
    spread = dequantized(x0, NOISE)
    assert float((spread - x0).abs().max()) < bin / 2
    assert float((spread - x0).std() / bin) == pytest.approx(1 / math.sqrt(12), rel=0.05)
    assert torch.equal(((spread + 1) * 127.5).round(), ((x0 + 1) * 127.5).round())


# The variational bound


@pytest.mark.parametrize("schedule", [VPLinear(), Cosine(), Flow()], ids=repr)
def test_the_bound_lies_above_and_tightens_with_steps(schedule):
    data = mixture(schedule)
    x0 = data.draw(1500)
    true = in_bits(data.log_density(x0), 2, levels=None).mean()

    def gap(steps):
        times = grid("uniform", steps, schedule)
        return float(variational_bound(bound_to(data, 1500), x0, times, Together(), levels=None).total.mean() - true)

    gaps = [gap(steps) for steps in (8, 32, 128)]
    assert gaps[0] > 1.3 * gaps[1] > 4 * gaps[2] > 0
    assert gaps[2] < 0.05


def test_the_terms_are_those_of_the_chain_that_ddpm_walks():
    """KL of the posterior from N(DDPM's mean, its variance), of one strided step, put together by hand."""
    schedule = Discrete.named(count=50)
    data, times = mixture(schedule), grid("uniform", 5, schedule)
    x0 = data.draw(6)
    found = variational_bound(bound_to(data), x0, times, NOISE, variance="large", levels=None)
    t, s = times[1], times[2]
    x = noised(schedule, x0, t, NOISE(x0, "bound", 1, 0))
    means = [
        DDPM("large").step(bound_to(denoiser), x, t, s, None, Silent())[0]
        for denoiser in (data, GaussianMixture(schedule, x0[:1], 0.0))
    ]
    (alpha_t, sigma_t), (alpha_s, sigma_s) = schedule(t), schedule(s)
    beta = sigma_t**2 - (alpha_t / alpha_s * sigma_s) ** 2
    tilde = beta * sigma_s**2 / sigma_t**2
    nats = (means[0][0] - means[1][0]).square().sum() / (2 * beta) + (tilde / beta - 1 - (tilde / beta).log())
    torch.testing.assert_close(found.steps[0, 1], nats / (2 * math.log(2)))
    assert found.steps.shape == (6, 4)
    torch.testing.assert_close(found.total, found.prior + found.steps.sum(1) + found.decoder)
    torch.testing.assert_close(found.prior, bound.prior(schedule, x0))


class Silent:
    def __call__(self, like, *key):
        return torch.zeros_like(like)


class Learned:
    def __init__(self, schedule, fraction):
        self.schedule, self.fraction, self.data = schedule, fraction, mixture(schedule)

    def __call__(self, x, t, condition):
        p = self.data(x, t)
        return Prediction(p.x, p.x0, p.eps, p.alpha, p.sigma, fraction=torch.full_like(x, self.fraction))


def test_a_learned_variance_lies_between_and_is_used_at_any_number_of_steps():
    schedule = VPLinear()
    data, times = mixture(schedule), grid("uniform", 12, schedule)
    x0 = data.draw(6)

    def total(denoiser, variance):
        return variational_bound(bound_to(denoiser), x0, times, NOISE, variance=variance, levels=None).total

    for fraction, variance in ((0.0, "small"), (1.0, "large")):
        torch.testing.assert_close(total(Learned(schedule, fraction), "learned"), total(data, variance))
    by_hand = bound.prior(schedule, x0)
    for i, (t, s) in enumerate(itertools.pairwise(times)):
        p = data(noised(schedule, x0, t, NOISE(x0, "bound", i, 0)), t)
        by_hand = by_hand + bound.term(schedule, p, x0, s, t, 0.7)
    torch.testing.assert_close(total(Learned(schedule, 0.7), "learned"), by_hand)
    with pytest.raises(BadInput, match="no learned variance"):
        total(data, "learned")
    torch.testing.assert_close(total(Learned(schedule, 0.7), None), by_hand)
    torch.testing.assert_close(total(data, None), total(data, "large"))


class Informed:
    """An oracle whose variance is beta in the noise and beta tilde where the picture is plain."""

    def __init__(self, data):
        self.schedule, self.data = data.schedule, data

    def __call__(self, x, t, condition):
        p = self.data(x, t)
        return Prediction(p.x, p.x0, p.eps, p.alpha, p.sigma, fraction=torch.full_like(x, float(p.sigma > p.alpha)))


def test_two_equally_likely_values_cost_one_bit():
    """Pictures of 8 bits whose every value is black or white: the discrete decoder's bound comes down to 1 bit."""
    schedule = VPLinear(last=1e-5)
    corners = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=2)), dtype=double)
    data = GaussianMixture(schedule, corners, 0.0)
    x0 = data.draw(400)
    few, many = (
        variational_bound(
            bound_to(Informed(data), 400), x0, grid("log-snr", steps, schedule), Together(), variance="learned"
        )
        for steps in (20, 100)
    )
    assert 1 < float(many.total.mean()) < 1.15
    assert float(few.total.mean()) > 1.3
    assert float(many.decoder.mean()) < 1e-3


def test_a_pictures_terms_are_its_own_and_draws_are_averaged():
    schedule = Flow()
    data, times = mixture(schedule), grid("uniform", 4, schedule)
    x0 = data.draw(6)
    together = variational_bound(bound_to(data), x0, times, NOISE, levels=None, draws=3)
    alone = variational_bound(bound_to(data, 1), x0[2:3], times, KeyedNoise([2]), levels=None, draws=3)
    torch.testing.assert_close(together.total[2:3], alone.total)
    one = variational_bound(bound_to(data), x0, times, NOISE, levels=None)
    assert not torch.allclose(one.total, together.total)
    assert float(one.prior.abs().max()) == 0  # alpha(1) = 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"variance": "fixed"}, "small, large, learned"),
        ({"times": torch.tensor([1.0, 0.5])}, "falls to 0"),
        ({"times": torch.tensor([0.0])}, "falls to 0"),
        ({"times": torch.tensor([1.0, 0.5, 0.7, 0.0])}, "falls to 0"),
    ],
)
def test_wrong_bounds_are_refused(options, said):
    data = mixture(Flow())
    with pytest.raises(BadInput, match=said):
        variational_bound(
            bound_to(data), data.draw(6), **{"times": torch.tensor([1.0, 0.0]), "noise": NOISE, **options}
        )


# Entropies of the reverse trajectory


@pytest.mark.parametrize(
    ("schedule", "largest"), [(Discrete.named(), 1), (VPLinear(), 1), (Cosine(), 1), (VE(), 9), (EDM(), 9)], ids=repr
)
def test_the_entropy_of_a_reverse_step_lies_between_its_bounds(schedule, largest):
    """Sohl-Dickstein et al. 2015: on Gaussian data whose entropy noising raises, at every step of a grid."""
    covariance = largest * torch.tensor([[0.3, 0.1], [0.1, 0.5]], dtype=double)
    data = Gaussian(schedule, torch.zeros(2, dtype=double), covariance)
    times = schedule.time(torch.logspace(1, -1.5, 12).double())
    for t, s in itertools.pairwise(times):
        low, high = conditional_entropy_bounds(schedule, s, t, size=2)
        assert float(low) < float(conditional_entropy(data, s, t)) < float(high)


def test_the_bounds_are_the_three_entropies_and_close_up_with_finer_steps():
    schedule, s, t = VPLinear(), 0.4, 0.5

    def entropy(variance):
        return math.log(2 * math.pi * math.e * variance) / 2

    (alpha_s, sigma_s), (alpha_t, sigma_t) = ([float(a) for a in schedule(u)] for u in (s, t))
    step = entropy(sigma_t**2 - (alpha_t / alpha_s * sigma_s) ** 2)
    low, high = (float(h) for h in conditional_entropy_bounds(schedule, s, t, size=3))
    assert high == pytest.approx(3 * step)
    assert low == pytest.approx(3 * (step + entropy(sigma_s**2) - entropy(sigma_t**2)))
    finer = [float(h) for h in conditional_entropy_bounds(schedule, 0.49, t, size=3)]
    assert finer[1] - finer[0] < 0.2 * (high - low)


def test_the_upper_bound_needs_data_that_noise_makes_less_certain():
    """A variance above 1 shrinks towards 1 on a variance-preserving schedule: the reverse step is less certain."""
    wide = Gaussian(VPLinear(), torch.zeros(1, dtype=double), 9.0)
    low, high = conditional_entropy_bounds(VPLinear(), 0.3, 0.5)
    assert float(conditional_entropy(wide, 0.3, 0.5)) > float(high) > float(low)
    same = Gaussian(VPLinear(), torch.zeros(1, dtype=double), 1.0)
    assert float(conditional_entropy(same, 0.3, 0.5)) == pytest.approx(float(high))
    point = Gaussian(VPLinear(), torch.zeros(1, dtype=double), 0.0)
    assert float(conditional_entropy(point, 0.3, 0.5)) == pytest.approx(float(low))


# The table


def test_the_benchmark_prints_what_holds():
    """Within 1 % of the closed form; above it, and lower with more steps."""
    schedule = likelihood.SCHEDULES["flow"]
    true, found, estimate, calls = likelihood.flow_row(schedule)
    assert found == pytest.approx(true, rel=0.01)
    assert estimate == pytest.approx(true, rel=0.1)
    assert 20 < calls < 300
    gaps = [likelihood.bound_gap(schedule, steps, 500) for steps in (5, 20, 80)]
    assert gaps[0] > gaps[1] > gaps[2] > 0
    low, true, high = likelihood.entropies(schedule, *schedule.time(torch.tensor([2.0, 4.0], dtype=double)))
    assert low < true < high
