"""DPM-Solver-fast and its adaptive form, against their walks written out as k-diffusion's in sigma."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sfumato.condition import Condition
from sfumato.denoise import GaussianMixture, Prediction, bind
from sfumato.noise import A1111CpuNoise, KeyedNoise
from sfumato.sample import DDIM, DPM2, DPMAdaptive, DPMFast, trajectory
from sfumato.schedule import Discrete, Flow, VPLinear
from sfumato.times import grid

MEANS = torch.tensor([[1.0, 0.0], [-1.0, 0.5]], dtype=torch.float64)
each_eta = pytest.mark.parametrize("eta", [0.0, 1.0])


class Oracle:
    """A mixture of Gaussians that counts its calls."""

    def __init__(self, schedule) -> None:
        self.oracle, self.schedule, self.calls = GaussianMixture(schedule, MEANS, 0.1), schedule, 0

    def __call__(self, x: Tensor, t: Tensor, condition: Condition) -> Prediction:
        self.calls += 1
        return self.oracle(x, t)

    def kappa(self, t: float) -> float:
        alpha, sigma = self.schedule(torch.tensor(t, dtype=torch.float64))
        return float(sigma / alpha)

    def eps(self, y: Tensor, sigma: float) -> Tensor:
        t = self.schedule.time(sigma)
        return self.oracle(y * self.schedule(t)[0], t).eps


def begun(schedule, rows: int = 3) -> Tensor:
    x = KeyedNoise(range(rows))(torch.zeros(rows, 2, dtype=torch.float64), "start")
    return x * float(torch.hypot(*schedule(1.0)))


def walk(oracle, sampler, times, x, noise=None) -> Tensor:
    noise = KeyedNoise(range(len(x))) if noise is None else noise
    *_, last = trajectory(bind(oracle, Condition.empty(len(x))), sampler, x, times, noise)
    return last.x


def solved(eps, y: Tensor, t: float, s: float, order: int, r: float = 1 / 3) -> Tensor:
    """One step in time t = -log(sigma), as k-diffusion writes it: `expm1` of the step."""
    h, sigma = s - t, lambda at: math.exp(-at)
    e = eps(y, sigma(t))
    if order == 1:
        return y - sigma(s) * math.expm1(h) * e
    if order == 2:
        u = y - sigma(t + r * h) * math.expm1(r * h) * e
        e1 = eps(u, sigma(t + r * h))
        return y - sigma(s) * math.expm1(h) * e - sigma(s) / (2 * r) * math.expm1(h) * (e1 - e)
    p, q = 1 / 3, 2 / 3
    u1 = y - sigma(t + p * h) * math.expm1(p * h) * e
    e1 = eps(u1, sigma(t + p * h))
    bend = (q / p) * (math.expm1(q * h) / (q * h) - 1)
    u2 = y - sigma(t + q * h) * math.expm1(q * h) * e - sigma(t + q * h) * bend * (e1 - e)
    e2 = eps(u2, sigma(t + q * h))
    return y - sigma(s) * math.expm1(h) * e - sigma(s) / q * (math.expm1(h) / h - 1) * (e2 - e)


def below(t: float, s: float, eta: float, end: float) -> tuple[float, float]:
    """Where an ancestral step leads in t = -log(sigma), and the size of its noise."""
    high, low = math.exp(-t), math.exp(-s)
    up = min(low, eta * math.sqrt(low**2 * (high**2 - low**2) / high**2))
    to = min(end, -math.log(math.sqrt(low**2 - up**2)))
    return to, math.sqrt(max(low**2 - math.exp(-to) ** 2, 0))


@each_eta
@pytest.mark.parametrize(("calls", "orders"), [(9, (3, 3, 2, 1)), (10, (3, 3, 3, 1)), (11, (3, 3, 3, 2))])
def test_the_fast_one_spends_its_calls_as_k_diffusion_does(calls, orders, eta):
    oracle = Oracle(Discrete.named("scaled_linear", beta_start=0.00085, beta_end=0.012))
    x = begun(oracle.schedule)
    noise = KeyedNoise(range(3))
    first, end = (-math.log(oracle.kappa(t)) for t in (1.0, oracle.schedule.last))
    y, ts = x / oracle.schedule(1.0)[0], torch.linspace(first, end, len(orders) + 1, dtype=torch.float64).tolist()
    for i, (t, s, order) in enumerate(zip(ts, ts[1:], orders, strict=False)):
        to, new = below(t, s, eta, end)
        y = solved(oracle.eps, y, t, to, order, r=1 / 2) + new * noise.at("step", i)(y)
    assert len(orders) == calls // 3 + 1
    times = grid("log-snr", len(orders) + 1, oracle.schedule)
    kept = walk(oracle, DPMFast(calls, eta, denoise_to_zero=False), times, x)
    assert oracle.calls == calls
    torch.testing.assert_close(kept, y, rtol=1e-9, atol=1e-9)
    clean = walk(oracle, DPMFast(calls, eta), times, x)
    assert oracle.calls == 2 * calls + 1
    torch.testing.assert_close(clean, y - math.exp(-end) * oracle.eps(y, math.exp(-end)), rtol=1e-9, atol=1e-9)


def adaptively(oracle, y: Tensor, t: float, end: float, order: int, eta: float, rtol: float, atol: float, noise):
    """k-diffusion's adaptive walk of one picture, and how many steps were taken and how many not."""
    h, before, taken, refused = 0.05, y, 0, 0
    while t < end - 1e-5:
        s = min(end, t + h)
        to, new = below(t, s, eta, end)
        low, high = (solved(oracle.eps, y, t, to, n, r=1 / order) for n in (order - 1, order))
        allowed = torch.maximum(torch.tensor(atol), rtol * torch.maximum(low.abs(), before.abs()))
        error = float(torch.linalg.norm((low - high) / allowed)) / y.numel() ** 0.5
        factor = 1 + math.atan((1 / (error + 1e-8)) ** (1 / (1.5 if eta else order)) - 1)
        h *= factor
        if factor >= 0.81:
            before, y, t = low, high + new * noise(y, "step", taken), s
            taken += 1
        else:
            refused += 1
    return y, taken, refused


@each_eta
@pytest.mark.parametrize("order", [2, 3])
def test_the_adaptive_one_takes_k_diffusion_s_steps(order, eta):
    oracle, rtol, atol = Oracle(VPLinear()), 0.02, 0.003
    x, (first, end) = begun(oracle.schedule), (-math.log(oracle.kappa(t)) for t in (1.0, oracle.schedule.last))
    expected, tries = [], []
    for row in range(3):
        noise = KeyedNoise([row]).at("step", 0)
        y = x[row : row + 1] / oracle.schedule(1.0)[0]
        y, taken, refused = adaptively(oracle, y, first, end, order, eta, rtol, atol, noise)
        expected.append(y)
        tries.append((taken, refused))
    sampler = DPMAdaptive(order, rtol, atol, eta, denoise_to_zero=False)
    found = walk(oracle, sampler, grid("log-snr", 2, oracle.schedule), x)
    torch.testing.assert_close(found, torch.cat(expected), rtol=1e-7, atol=1e-7)
    assert any(refused for _, refused in tries)
    assert len(set(tries)) > 1


@each_eta
def test_a_picture_chooses_its_steps_by_itself(eta):
    oracle, sampler = Oracle(VPLinear()), DPMAdaptive(eta=eta)
    x, times = begun(oracle.schedule, 5), grid("log-snr", 4, oracle.schedule)
    together = walk(oracle, sampler, times, x)
    for row in range(5):
        alone = walk(oracle, sampler, times, x[row : row + 1], KeyedNoise([row]))
        torch.testing.assert_close(alone, together[row : row + 1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sampler", [DPMFast(), DPMFast(2), DPMAdaptive()])
@pytest.mark.parametrize("schedule", [Flow(), Discrete.named(zero_terminal=True)])
def test_a_step_from_pure_noise_is_ddim(schedule, sampler):
    oracle = Oracle(schedule)
    x, times = begun(schedule), torch.tensor([1.0, 0.8, 0.5, 0.0], dtype=torch.float64)
    denoise = bind(oracle, Condition.empty(3))
    ours, theirs = (
        next(iter(trajectory(denoise, each, x, times, KeyedNoise(range(3))))).x for each in (sampler, DDIM())
    )
    assert torch.equal(ours, theirs)
    assert walk(oracle, sampler, times, x).isfinite().all()


@pytest.mark.parametrize("sampler", [DPMFast(2), DPMAdaptive()])
def test_a_step_up_to_pure_noise_is_ddim(sampler):
    x, up = begun(Flow()), torch.tensor([0.6, 1.0], dtype=torch.float64)
    denoise = bind(Oracle(Flow()), Condition.empty(3))
    ours, theirs = (
        list(trajectory(denoise, each, x, up, KeyedNoise(range(3)), up=None))[-1].x for each in (sampler, DDIM())
    )
    assert torch.equal(ours, theirs)


def test_a_step_of_order_2_is_dpm_2():
    oracle = Oracle(VPLinear())
    x, times = begun(oracle.schedule), torch.tensor([0.7, 0.5], dtype=torch.float64)
    torch.testing.assert_close(walk(oracle, DPMFast(2), times, x), walk(oracle, DPM2(), times, x))


@pytest.mark.parametrize("sampler", [DPMFast(2), DPMAdaptive(rtol=1e-6, atol=1e-6)])
def test_they_walk_upwards_and_back(sampler):
    oracle = Oracle(VPLinear())
    x, up = begun(oracle.schedule) * 0.4, grid("log-snr", 60, oracle.schedule, 0.8)[:-1].flip(0)
    denoise = bind(oracle, Condition.empty(3))
    *_, there = trajectory(denoise, sampler, x, up, KeyedNoise(range(3)), up=None)
    torch.testing.assert_close(walk(oracle, sampler, up.flip(0), there.x), x, rtol=1e-3, atol=1e-3)
    with pytest.raises(ValueError, match="cannot walk upwards"):
        list(trajectory(denoise, DPMFast(2, 1.0), x, up, KeyedNoise(range(3)), up=None))


def test_the_adaptive_one_lets_nan_out():
    oracle = Oracle(VPLinear())
    exact = oracle.oracle
    oracle.oracle = lambda x, t: exact(x, t).moved(x0=exact(x, t).x0 * torch.nan)  # pyright: ignore
    assert walk(oracle, DPMAdaptive(), grid("log-snr", 3, oracle.schedule), begun(oracle.schedule)).isnan().all()
    assert oracle.calls < 100


def test_the_noise_of_another_tool_is_drawn_in_its_order():
    """A stream's n-th number is the n-th accepted step's."""
    oracle = Oracle(VPLinear())
    (first, end), x = (-math.log(oracle.kappa(t)) for t in (1.0, oracle.schedule.last)), begun(oracle.schedule, 1)
    stream = A1111CpuNoise().source([7])
    y, *_ = adaptively(
        oracle, x / oracle.schedule(1.0)[0], first, end, 3, 1.0, 0.05, 0.0078, lambda like, *key: stream(like, *key)
    )
    times = grid("log-snr", 2, oracle.schedule)
    found = walk(oracle, DPMAdaptive(eta=1.0, denoise_to_zero=False), times, x, A1111CpuNoise().source([7]))
    torch.testing.assert_close(found, y, rtol=1e-6, atol=1e-6)
