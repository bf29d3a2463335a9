"""The bound's terms on Gaussian data, where each is known in closed form."""

from __future__ import annotations

import math

import pytest
import torch

from sfumato import bound
from sfumato.condition import Condition
from sfumato.denoise import Gaussian, Prediction
from sfumato.schedule import VE, Cosine, Discrete, Flow, VPLinear, noised

double = torch.float64
SPREAD = 0.6
SCHEDULES = [Discrete.named(count=50), Discrete.named("squaredcos_cap_v2", 50), VPLinear(), Cosine(), Flow(), VE()]
ENTROPY = math.log2(math.sqrt(2 * math.pi * math.e) * SPREAD)

# Four points with the moments of (x0, eps): what is quadratic in them has its exact mean over the four.
X0 = SPREAD * torch.tensor([1.0, 1.0, -1.0, -1.0], dtype=double)[:, None]
EPS = torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=double)[:, None]


def terms(schedule, steps: int, fraction: float, shrink: float = 1.0) -> list[float]:
    """L_0 .. L_(T-1) of the oracle, whose x0_hat is multiplied by `shrink`."""
    oracle = Gaussian(schedule, torch.zeros(1, dtype=double), SPREAD**2)
    found = []
    for i in range(1, steps + 1):
        s, t = (torch.tensor(k / steps, dtype=double) for k in (i - 1, i))
        p = oracle(noised(schedule, X0, t, EPS), t, Condition.empty(4))
        p = Prediction(p.x, shrink * p.x0, p.eps, p.alpha, p.sigma)
        found.append(float(bound.term(schedule, p, X0, s, t, fraction).mean()))
    return found


def closed(schedule, steps: int, fraction: float, shrink: float) -> list[float]:
    """The same by hand: the mean square of a x0 + b x_t - (a x0_hat + b x_t), and Gaussians' formulas."""
    found = []
    alphas, sigmas = schedule(torch.arange(steps + 1, dtype=double) / steps)
    alphas, sigmas = alphas.tolist(), sigmas.tolist()

    def beta_tilde(i: int) -> float:
        return beta(i) * sigmas[i - 1] ** 2 / sigmas[i] ** 2

    def beta(i: int) -> float:
        return sigmas[i] ** 2 - (alphas[i] / alphas[i - 1]) ** 2 * sigmas[i - 1] ** 2

    for i in range(1, steps + 1):
        small, large = beta_tilde(i) if i > 1 else beta_tilde(2), beta(i)
        logvar = fraction * math.log(large) + (1 - fraction) * math.log(small)
        gain = shrink * alphas[i] * SPREAD**2 / (alphas[i] ** 2 * SPREAD**2 + sigmas[i] ** 2)
        error = (1 - gain * alphas[i]) ** 2 * SPREAD**2 + (gain * sigmas[i]) ** 2
        if i == 1:
            nats = (error * math.exp(-logvar) + logvar + math.log(2 * math.pi)) / 2
        else:
            moved = (alphas[i - 1] * beta(i) / sigmas[i] ** 2) ** 2 * error
            nats = (math.exp(math.log(small) - logvar) - 1 - math.log(small) + logvar + moved * math.exp(-logvar)) / 2
        found.append(nats / math.log(2))
    return found


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
@pytest.mark.parametrize("fraction", [0.0, 0.3, 1.0])
def test_every_term_is_its_closed_form(schedule, fraction):
    expected = closed(schedule, 50, fraction, 0.9)
    torch.testing.assert_close(terms(schedule, 50, fraction, 0.9), expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("schedule", [VPLinear(), Cosine(), Flow()], ids=repr)
def test_the_bound_lies_above_the_entropy_and_tightens_with_steps(schedule):
    gaps = []
    for steps in (10, 40, 160):
        whole = sum(terms(schedule, steps, 1.0)) + float(bound.prior(schedule, X0).mean())
        gaps.append(whole - ENTROPY)
    assert all(gap > 0 for gap in gaps)
    assert gaps[1] < 0.5 * gaps[0]
    assert gaps[2] < 0.5 * gaps[1]


def test_prior_is_the_divergence_from_the_noise_that_sampling_begins_with():
    schedule = Discrete.named(count=50)
    alpha, sigma = (float(a) for a in schedule(1.0))
    expected = (sigma**2 + alpha**2 * SPREAD**2 - 1 - math.log(sigma**2)) / 2 / math.log(2)
    assert float(bound.prior(schedule, X0).mean()) == pytest.approx(expected)
    assert float(bound.prior(Flow(), X0).abs().max()) == 0


def test_the_prior_of_an_exploding_variance_is_as_wide_as_the_noise():
    """VE begins from N(0, 1 + sigma_max^2): against N(0, 1) the divergence would be some thousand bits."""
    schedule = VE()
    start = 1 + float(schedule(1.0)[1]) ** 2
    expected = ((start - 1 + SPREAD**2) / start - 1 - math.log((start - 1) / start)) / 2 / math.log(2)
    assert float(bound.prior(schedule, X0).mean()) == pytest.approx(expected, rel=1e-9)
    assert expected < 1e-3


def test_the_discrete_decoder_costs_the_bin():
    """L_0 of a picture of 8 bits is -log of a probability: density times width where the bin is narrow."""
    schedule = Discrete.named(count=50, beta_start=0.05)
    x0 = torch.linspace(-1, 1, 256, dtype=double)[40:200, None]
    p = Prediction(x0, x0 + 0.1, x0, *schedule(0.02))
    discrete, continuous = (bound.term(schedule, p, x0, 0.0, 0.02, 1.0, levels) for levels in (256, None))
    torch.testing.assert_close(discrete, continuous - math.log2(2 / 255), rtol=0, atol=1e-3)
    assert bool((discrete > 0).all())


def test_rows_of_different_steps_share_a_batch_with_finite_gradients():
    schedule = VPLinear()
    s, t = torch.tensor([0.0, 0.1, 0.9], dtype=double), torch.tensor([0.1, 0.2, 1.0], dtype=double)
    x0, x = X0[:3], torch.randn(3, 1, dtype=double, generator=torch.Generator().manual_seed(0))
    guess = torch.zeros(3, 1, dtype=double, requires_grad=True)
    v = torch.full((3, 1), 0.5, dtype=double, requires_grad=True)
    together = bound.term(schedule, Prediction(x, guess, x, *schedule(t)), x0, s, t, v)
    for row in range(3):
        one = slice(row, row + 1)
        p = Prediction(x[one], guess[one], x[one], *schedule(t[one]))
        torch.testing.assert_close(bound.term(schedule, p, x0[one], s[row], t[row], v[one])[0], together[row])
    together.sum().backward()
    assert bool(torch.isfinite(guess.grad).all())
    assert bool((v.grad != 0).all())
