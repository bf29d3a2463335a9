"""Every sampler converges at the order it promises, measured by the same code as `benchmarks/orders.py`."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from one_seed import OneSeed

from sfumato.denoise import Gaussian
from sfumato.sample import SAMPLERS, sampler
from sfumato.schedule import Flow, VPLinear

path = Path(__file__).parents[2] / "benchmarks" / "orders.py"
specification = importlib.util.spec_from_file_location("sfumato_orders", path)
assert specification is not None
assert specification.loader is not None
orders = importlib.util.module_from_spec(specification)
sys.modules["sfumato_orders"] = orders
specification.loader.exec_module(orders)


@pytest.mark.parametrize("promise", orders.PROMISES, ids=lambda promise: promise.name)
def test_measured_order(promise):
    order, error = orders.measured(promise, VPLinear(), steps=48)
    assert order == pytest.approx(promise.order, abs=0.12)
    assert error < 0.05


@pytest.mark.parametrize("promise", [p for p in orders.PROMISES if p.name in ("heun", "dpmpp-2m-sde")], ids=str)
def test_measured_order_on_a_schedule_that_does_not_preserve_variance(promise):
    order, _ = orders.measured(promise, Flow(), steps=32)
    assert order == pytest.approx(promise.order, abs=0.12)


def test_every_sampler_has_a_promise():
    assert {type(sampler(name)) for name in SAMPLERS} == {type(promise.sampler) for promise in orders.PROMISES}
    assert SAMPLERS.keys() <= {promise.name for promise in orders.PROMISES}


def test_the_probe_sees_what_a_monte_carlo_run_sees():
    """The affine account of DDPM's mean and variance against 20,000 runs of it."""
    schedule, steps = VPLinear(), 6
    oracle = Gaussian(schedule, torch.tensor([0.5], dtype=torch.float64), 0.3)
    times, noise = orders.interior(schedule, steps), OneSeed()
    (alpha_t, alpha_s), (sigma_t, sigma_s) = (a.tolist() for a in schedule(times[[0, -1]]))
    z = noise(torch.zeros(20_000, 1, dtype=torch.float64), "start")
    x = alpha_t * 0.5 + (alpha_t**2 * 0.3 + sigma_t**2) ** 0.5 * z
    end = orders.walk(oracle, sampler("ddpm"), x, times, noise)
    error = max(abs(end.mean() - alpha_s * 0.5), abs(end.var() - alpha_s**2 * 0.3 - sigma_s**2))
    assert float(error) == pytest.approx(orders.weak_error(sampler("ddpm"), schedule)(steps), abs=0.02)
