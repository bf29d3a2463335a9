"""Weights in closed form: stated once for x0, applied to every parameterization."""

from __future__ import annotations

import pytest
import torch

from sfumato.predict import coefficients
from sfumato.schedule import Discrete
from sfumato.train import objective as o
from sfumato.train import recipe as r

TABLE = Discrete.named("squaredcos_cap_v2", 1000)
TIMES = torch.tensor([0.001, 0.05, 0.3, 0.5, 0.8, 0.99], dtype=torch.float64)
WEIGHTINGS = [r.MinSNR(kind="min-snr", gamma=5.0), r.Sigmoid(kind="sigmoid", bias=-2.0)]
NAMES = ("eps", "x0", "v")


@pytest.mark.parametrize("weighting", WEIGHTINGS, ids=lambda w: w.kind)
def test_the_parameterizations_agree_on_the_same_error_of_x0(weighting):
    alpha, sigma = TABLE(TIMES)
    dx0 = torch.linspace(0.1, 1.0, len(TIMES), dtype=torch.float64)
    deps = -alpha / sigma * dx0  # x_t is given, so alpha dx0 + sigma deps = 0
    losses = []
    for name in NAMES:
        p, q = coefficients(name, alpha, sigma)
        losses.append(o.weight(name, weighting, alpha, sigma) * (p * dx0 + q * deps).square())
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-9, atol=0)
    torch.testing.assert_close(losses[0], losses[2], rtol=1e-9, atol=0)


def test_min_snr_is_the_papers_formula():
    alpha, sigma = TABLE(TIMES)
    snr = (alpha / sigma).square()
    least = snr.clamp(max=5.0)
    weighting = WEIGHTINGS[0]
    for name, expected in {"eps": least / snr, "x0": least, "v": least / (snr + 1)}.items():
        torch.testing.assert_close(o.weight(name, weighting, alpha, sigma), expected, rtol=1e-9, atol=0)


def test_sigmoid_weights_the_eps_loss_by_sigmoid_of_bias_minus_log_snr():
    alpha, sigma = TABLE(TIMES)
    expected = torch.sigmoid(-2.0 - 2 * (alpha / sigma).log())
    torch.testing.assert_close(o.weight("eps", WEIGHTINGS[1], alpha, sigma), expected, rtol=1e-9, atol=0)


def test_uniform_is_one_for_the_network_output():
    assert bool((o.weight("v", r.Uniform(), *TABLE(TIMES)) == 1).all())


def test_table_times_are_knots_and_every_knot_comes():
    t = o.draw_times(r.Table(), 20_000, 100, torch.Generator().manual_seed(0))
    index = t * 100 - 1
    torch.testing.assert_close(index, index.round(), rtol=0, atol=1e-9)
    assert set(index.round().long().tolist()) == set(range(100))


def test_uniform_times_are_stratified():
    t = o.draw_times(r.Uniform(), 64, 1000, torch.Generator().manual_seed(0))
    assert float(t.min()) > 0
    assert float(t.max()) <= 1
    assert sorted((t * 64).ceil().long().tolist()) == list(range(1, 65))


def test_logit_normal_has_its_median_and_spread():
    t = o.draw_times(r.LogitNormal(kind="logit-normal", mean=0.5, std=0.7), 50_000, 1, torch.Generator().manual_seed(0))
    z = torch.logit(t)
    assert abs(float(z.mean()) - 0.5) < 0.02
    assert abs(float(z.std()) - 0.7) < 0.02


@pytest.mark.parametrize("name", NAMES)
def test_a_perfect_network_has_no_loss_and_a_silent_one_the_power_of_the_target(name):
    x0 = torch.randn(400, 3, 4, 4, generator=torch.Generator().manual_seed(1)) * 0.5
    objective = o.Objective(r.Objective(parameterization=name, weighting=r.Uniform()), TABLE)

    def oracle(x, t):
        alpha, sigma = (c.float().reshape(-1, 1, 1, 1) for c in TABLE(t))
        eps = (x - alpha * x0) / sigma
        p, q = (c.float().reshape(-1, 1, 1, 1) for c in coefficients(name, *TABLE(t)))
        return p * x0 + q * eps

    perfect, _ = objective(oracle, x0, torch.Generator().manual_seed(2))
    assert float(perfect.max()) < 1e-4
    silent, t = objective(lambda x, t: torch.zeros_like(x), x0, torch.Generator().manual_seed(2))
    p, q = coefficients(name, *TABLE(t))
    expected = (p.square() * x0.square().mean() + q.square()).mean()
    assert float(silent.mean()) == pytest.approx(float(expected), rel=0.05)


def test_the_loss_is_a_function_of_the_generator():
    x0 = torch.ones(8, 1, 2, 2)
    objective = o.Objective(r.Objective(), TABLE)
    first, _ = objective(lambda x, t: x, x0, torch.Generator().manual_seed(3))
    again, _ = objective(lambda x, t: x, x0, torch.Generator().manual_seed(3))
    assert torch.equal(first, again)
