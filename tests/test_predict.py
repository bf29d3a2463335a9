import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sfumato.predict import NAMES, coefficients, expand, split, target
from sfumato.process import posterior
from sfumato.schedule import Discrete

angles = st.floats(1e-3, math.pi / 2 - 1e-3)


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(NAMES), angle=angles, scale=st.floats(0.1, 10), seed=st.integers(0, 99))
def test_split_undoes_target(name, angle, scale, seed):
    generator = torch.Generator().manual_seed(seed)
    x0, eps = torch.randn(2, 3, 5, generator=generator, dtype=torch.float64)
    alpha, sigma = math.cos(angle) * scale, math.sin(angle) * scale
    before = (alpha * 1.1, sigma * 0.8)
    F = target(name, x0, eps, alpha, sigma, before=before)
    got = split(name, F, alpha * x0 + sigma * eps, alpha, sigma, before=before)
    torch.testing.assert_close(got, (x0, eps), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_one_number_a_row(name):
    x0, eps = torch.randn(2, 3, 1, 4, 4, dtype=torch.float64)
    alpha, sigma = torch.tensor([0.9, 0.5, 0.1]).double(), torch.tensor([0.1, 0.5, 0.9]).double()
    before = (alpha * 1.1, sigma * 0.8)
    F = target(name, x0, eps, alpha, sigma, before=before)
    for row in range(3):
        here, below = ((float(a[row]), float(s[row])) for a, s in ((alpha, sigma), before))
        torch.testing.assert_close(F[row], target(name, x0[row], eps[row], *here, before=below))
    x = expand(alpha, x0) * x0 + expand(sigma, x0) * eps
    torch.testing.assert_close(split(name, F, x, alpha, sigma, before=before), (x0, eps))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "mu"])
def test_one_number_for_all_rows_gives_the_bits_of_one_a_row(name):
    x, F = (torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    for angle in (0.01, 0.7, 1.5):
        alpha, sigma = (torch.tensor(of(angle), dtype=torch.float64) for of in (math.cos, math.sin))
        alone, rows = split(name, F, x, alpha, sigma), split(name, F, x, alpha.expand(3), sigma.expand(3))
        assert all(torch.equal(one, other) for one, other in zip(alone, rows, strict=True))
        double = split(name, F.double(), x.double(), alpha, sigma)
        assert double[0].dtype == torch.float64


@pytest.mark.parametrize(("alpha", "sigma"), [(1.0, 3.0), (0.8, 0.6), (1.0, 0.01)])
def test_edm_is_karras_preconditioning(alpha, sigma):
    """p and q are (1 - c_skip alpha)/c_out and -c_skip sigma/c_out with the c's of Karras et al., table 1."""
    data = 0.5
    c_skip = alpha * data**2 / (alpha**2 * data**2 + sigma**2)
    c_out = sigma * data / math.sqrt(alpha**2 * data**2 + sigma**2)
    p, q = coefficients("edm", alpha, sigma, sigma_data=data)
    assert float(p) == pytest.approx((1 - c_skip * alpha) / c_out)
    assert float(q) == pytest.approx(-c_skip * sigma / c_out)


def test_edm_is_minus_v_for_unit_data_and_preserved_variance():
    p, q = coefficients("edm", 0.8, 0.6, sigma_data=1.0)
    p_v, q_v = coefficients("v", 0.8, 0.6)
    torch.testing.assert_close((p, q), (-p_v, -q_v))


def test_edm_target_keeps_its_digits_at_small_sigma():
    """(x0 - c_skip x)/c_out in float32 loses 1e-5 here and is NaN at sigma = 0; the sum p x0 + q eps does not."""
    x0, eps = torch.randn(2, 1000, generator=torch.Generator().manual_seed(0))
    exact = target("edm", x0.double(), eps.double(), 1.0, 1e-3)
    assert (target("edm", x0, eps, 1.0, 1e-3) - exact).abs().max() < 1e-6
    naive = (x0 - 0.25 / (0.25 + 1e-6) * (x0 + 1e-3 * eps)) / (1e-3 * 0.5 / math.sqrt(0.25 + 1e-6))
    assert (naive - exact).abs().max() > 1e-5
    torch.testing.assert_close(target("edm", x0, eps, 1.0, 0.0), -eps)


def test_both_come_from_a_bfloat16_output_in_float32():
    """x0 rounded to bfloat16 and eps derived from it is wrong by 0.2 at sigma = 1e-2; eps straight from F is not."""
    alpha, sigma = math.sqrt(1 - 1e-4), 1e-2
    x0, eps = torch.randn(2, 1000, generator=torch.Generator().manual_seed(1))
    x = alpha * x0 + sigma * eps
    F = target("v", x0, eps, alpha, sigma).bfloat16()
    got_x0, got_eps = split("v", F, x, alpha, sigma)
    assert got_x0.dtype == got_eps.dtype == torch.float32
    exact = split("v", F.double(), x.double(), alpha, sigma)
    assert (got_x0 - exact[0]).abs().max() < 1e-6
    assert (got_eps - exact[1]).abs().max() < 1e-6
    derived = (x - alpha * got_x0.bfloat16()) / sigma
    assert (derived - eps).abs().max() > 0.2
    assert (got_eps - eps).abs().max() < 0.02


@pytest.mark.parametrize(("name", "alpha", "sigma"), [("eps", 0.0, 1.0), ("score", 0.0, 1.0), ("x0", 1.0, 0.0)])
def test_where_the_output_determines_nothing_it_is_refused_by_name(name, alpha, sigma):
    x = torch.ones(2, 3)
    with pytest.raises(ValueError, match=f'"{name}" does not determine'):
        split(name, x, x, alpha, sigma)


def test_v_and_flow_know_both_ends():
    x = torch.randn(2, 3)
    for name in ("v", "flow"):
        for alpha, sigma in ((1.0, 0.0), (0.0, 1.0)):
            assert all(torch.isfinite(part).all() for part in split(name, x, x, alpha, sigma))


def test_score_is_infinite_without_noise():
    with pytest.raises(ValueError, match="keep t above 0"):
        coefficients("score", 1.0, 0.0)


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="choose one of eps, x0, v, flow, score, edm, mu"):
        coefficients("noise", 0.5, 0.5)


def test_expand_casts():
    """A (B, 1, 1, 1) float64 factor would silently turn a float32 picture into float64."""
    x = torch.ones(2, 3, 4, 4, dtype=torch.bfloat16)
    a = expand(torch.tensor([1.0, 2.0], dtype=torch.float64), x)
    assert a.shape == (2, 1, 1, 1)
    assert (a * x).dtype == torch.bfloat16
    with pytest.raises(ValueError, match="one number a row"):
        expand(torch.ones(2, 1), x)


def test_mu_is_the_mean_of_the_posterior():
    """mu tilde of Ho et al. 2020, eq. 7; at s = 0 it is the picture, and without its step it is refused."""
    schedule = Discrete.named(count=50)
    x0, eps = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for t, s in ((0.5, 0.48), (1.0, 0.98), (0.02, 0.0)):
        (alpha, sigma), before = schedule(t), schedule(s)
        a, b, _ = posterior(schedule, s, t)
        x = alpha * x0 + sigma * eps
        F = target("mu", x0, eps, alpha, sigma, before=before)
        torch.testing.assert_close(F, a * x0 + b * x)
        torch.testing.assert_close(split("mu", F, x, alpha, sigma, before=before), (x0, eps))
    with pytest.raises(ValueError, match="mean of a step"):
        coefficients("mu", 0.8, 0.6)
