"""Every sampler converges at the order it promises, measured by the same code as `benchmarks/orders.py`."""

import orders
import pytest
import torch
from one_seed import OneSeed

from sfumato.denoise import Gaussian
from sfumato.sample import Sampler
from sfumato.schedule import Cosine, Flow, VPLinear


@pytest.mark.parametrize("promise", orders.PROMISES, ids=lambda promise: promise.name)
def test_measured_order(promise):
    order, error = orders.measured(promise, VPLinear(), steps=48)
    assert promise.kept(order), order
    assert error < 0.05


ELSEWHERE = ("heun", "dpmpp-2m-sde", "dpmpp-3m-exact", "unipc", "deis, order 3, heun", "adams-bashforth")


@pytest.mark.parametrize("promise", [p for p in orders.PROMISES if p.name in ELSEWHERE], ids=lambda p: p.name)
def test_measured_order_on_a_schedule_that_does_not_preserve_variance(promise):
    order, _ = orders.measured(promise, Flow(), steps=32)
    assert promise.kept(order), order


def test_the_field_s_3m_is_of_order_2_in_the_limit():
    """Its halved coefficient is no warm-up: with twice as many steps the order falls, the exact one's doesn't."""
    field = next(p for p in orders.PROMISES if p.name == "dpmpp-3m")
    exact = next(p for p in orders.PROMISES if p.name == "dpmpp-3m-exact")
    assert orders.measured(field, Cosine(), steps=128)[0] < 2.05
    assert orders.measured(exact, Cosine(), steps=128)[0] > 2.95


@pytest.mark.parametrize("schedule", [VPLinear(), Flow()], ids=repr)
def test_the_adaptive_solver_keeps_its_tolerance(schedule):
    errors, calls = zip(*(orders.adaptive(tolerance, schedule) for tolerance in (1e-3, 1e-5, 1e-7)), strict=True)
    for error, tolerance in zip(errors, (1e-3, 1e-5, 1e-7), strict=True):
        assert error < 50 * tolerance
    assert calls[0] < calls[1] < calls[2] < 400


def test_the_reference_is_the_gaussian_s_own_flow():
    schedule = VPLinear()
    oracle = Gaussian(schedule, torch.tensor([0.5, -0.3], dtype=torch.float64), 0.3)
    x, (t, s) = oracle.draw(4), orders.interior(schedule, 1)
    torch.testing.assert_close(orders.flowed(oracle, x, t, s), oracle.flow(x, t, s), rtol=1e-11, atol=1e-11)


def test_every_sampler_has_a_promise():
    """But for those that do not converge as the steps become many: test_stochastic.py says what they do."""
    promising = Sampler.registry.keys() - {"langevin", "predictor-corrector", "consistency"}
    assert {type(Sampler.registry.named(name)) for name in promising} == {
        type(promise.sampler) for promise in orders.PROMISES
    }
    assert promising <= {promise.name for promise in orders.PROMISES}


def test_the_probe_sees_what_a_monte_carlo_run_sees():
    """The affine account of DDPM's mean and variance against 20,000 runs of it."""
    schedule, steps = VPLinear(), 6
    oracle = Gaussian(schedule, torch.tensor([0.5], dtype=torch.float64), 0.3)
    times, noise = orders.interior(schedule, steps), OneSeed()
    (alpha_t, alpha_s), (sigma_t, sigma_s) = (a.tolist() for a in schedule(times[[0, -1]]))
    z = noise(torch.zeros(20_000, 1, dtype=torch.float64), "start")
    x = alpha_t * 0.5 + (alpha_t**2 * 0.3 + sigma_t**2) ** 0.5 * z
    end = orders.walk(oracle, Sampler.registry.named("ddpm"), x, times, noise)
    error = max(abs(end.mean() - alpha_s * 0.5), abs(end.var() - alpha_s**2 * 0.3 - sigma_s**2))
    assert float(error) == pytest.approx(orders.weak_error(Sampler.registry.named("ddpm"), schedule)(steps), abs=0.02)
