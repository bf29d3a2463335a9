"""Gaussians' divergences and probabilities against torch.distributions, quadrature and each other."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Normal, kl_divergence

from sfumato.gaussian import discretized_log_likelihood, kl, log_density

double = torch.float64
VALUES = torch.linspace(-1, 1, 256, dtype=double)
logvars = st.floats(-12, 6)
means = st.floats(-3, 3)


def number(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=double)


@settings(max_examples=60, deadline=None)
@given(means, logvars, means, logvars)
def test_kl_is_that_of_torchs_distributions(m1, v1, m2, v2):
    theirs = kl_divergence(*(Normal(number(m), number(math.exp(v / 2))) for m, v in ((m1, v1), (m2, v2))))
    torch.testing.assert_close(kl(number(m1), number(v1), number(m2), number(v2)), theirs, rtol=1e-9, atol=1e-9)


def test_kl_of_nearly_equal_variances_keeps_its_digits():
    d = 1e-7
    assert float(kl(0.0, number(d), 0.0, number(0.0))) == pytest.approx(d**2 / 4, rel=1e-6)
    assert float(kl(0.3, number(1.1), 0.3, number(1.1))) == 0


@settings(max_examples=60, deadline=None)
@given(means, logvars)
def test_log_density_is_that_of_torchs_distributions(mean, logvar):
    theirs = Normal(number(mean), number(math.exp(logvar / 2))).log_prob(VALUES)
    torch.testing.assert_close(log_density(VALUES, mean, number(logvar)), theirs, rtol=1e-9, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(means, logvars, st.sampled_from([2, 4, 256]))
def test_the_probabilities_of_all_levels_sum_to_one(mean, logvar, levels):
    values = torch.linspace(-1, 1, levels, dtype=double)
    total = discretized_log_likelihood(values, number(mean), number(logvar), levels).logsumexp(0)
    assert float(total) == pytest.approx(0, abs=1e-9)


def test_a_narrow_bin_holds_the_density_times_its_width():
    logs = discretized_log_likelihood(VALUES, number(0.1), number(0.0))[1:-1]
    torch.testing.assert_close(logs, log_density(VALUES, 0.1, number(0.0))[1:-1] + math.log(2 / 255), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", [torch.float32, double])
def test_far_from_the_mean_it_is_finite_with_a_gradient_towards_x(kind):
    x = VALUES[[0, 60, 128, 255]].to(kind)
    mean = torch.full((4,), 5.0, dtype=kind).mul(torch.tensor([1, 1, -1, -1])).requires_grad_()
    logs = discretized_log_likelihood(x, mean, torch.tensor(-8.0, dtype=kind))
    assert bool(torch.isfinite(logs).all())
    (gradient,) = torch.autograd.grad(logs.sum(), mean)
    assert bool((gradient * (x - mean.detach()) > 0).all())


def test_float32_agrees_with_float64():
    for logvar in (-10.0, -3.0, 0.0, 2.0):
        exact = discretized_log_likelihood(VALUES, number(0.2), number(logvar))
        single = discretized_log_likelihood(VALUES.float(), torch.tensor(0.2), torch.tensor(logvar))
        torch.testing.assert_close(single.double(), exact, rtol=2e-4, atol=1e-4)
