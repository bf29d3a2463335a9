"""Measured convergence orders of every sampler, against exact oracles.

    python benchmarks/orders.py

Strong orders: the distance to the probability flow's end, on a mixture of Gaussians in the plane, whose flow scipy
solves to 13 digits. Weak orders: the error of the mean and the variance on Gaussian data, where a sampler is affine in
its start and in each of its noises, so that one run with a row for each of them gives both exactly, without Monte
Carlo. Both on an interior range (t = 0.9 to 0.1) with steps equal in log(alpha/sigma), in float64.

A second table holds the adaptive solver to its tolerances: its error, and what it asks of the network.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from sfumato.condition import Condition
from sfumato.denoise import Denoiser, Gaussian, GaussianMixture, Prediction, bind
from sfumato.noise import KeyedNoise
from sfumato.sample import (
    DDIM,
    DDPM,
    DEIS,
    DPM2,
    LMS,
    PLMS,
    RK45,
    AdamsBashforth,
    DPMAdaptive,
    DPMFast,
    DPMpp2M,
    DPMpp2S,
    DPMpp3M,
    DPMppSDE,
    Euler,
    EulerMaruyama,
    Heun,
    Sampler,
    UniPC,
    trajectory,
)
from sfumato.schedule import Cosine, Flow, Schedule, VPLinear


@dataclass(frozen=True)
class Promise:
    """A sampler, the kind of convergence, and the order it is known for.

    `before` is the order of all but its first steps, where these are of a lower one: at any number of steps that is
    affordable what is measured lies between the two.
    """

    name: str
    sampler: Sampler
    kind: str  # "strong" or "weak"
    order: int
    before: int = 0

    def __str__(self) -> str:
        return f"{self.order} to {self.before}" if self.before else str(self.order)

    def kept(self, measured: float, tolerance: float = 0.12) -> bool:
        return self.order - tolerance < measured < max(self.order, self.before) + tolerance


PROMISES = (
    Promise("ddim", DDIM(), "strong", 1),
    Promise("euler", Euler(), "strong", 1),
    Promise("heun", Heun(), "strong", 2),
    Promise("heun-kappa", Heun(form="kappa"), "strong", 2),
    Promise("dpmpp-2m", DPMpp2M(), "strong", 2),
    Promise("ddpm", DDPM(), "weak", 1),
    Promise("ddpm, large variance", DDPM("large"), "weak", 1),
    Promise("ddim, eta = 0.5", DDIM(0.5), "weak", 1),
    Promise("euler-maruyama", EulerMaruyama(), "weak", 1),
    Promise("dpmpp-2m-sde", DPMpp2M(sde=True), "weak", 2),
    Promise("res-multistep", DPMpp2M(solver="heun"), "strong", 2),
    Promise("dpmpp-2m, in tau", DPMpp2M(form="tau"), "strong", 2),
    Promise("dpmpp-2m-sde-heun", DPMpp2M(sde=True, solver="heun"), "weak", 2, 8),  # its error's terms nearly cancel
    Promise("dpmpp-3m", DPMpp3M(), "strong", 2, 3),
    Promise("dpmpp-3m-exact", DPMpp3M(exact=True), "strong", 3),
    Promise("dpmpp-3m-sde", DPMpp3M(sde=True), "weak", 2, 3),
    Promise("unipc, order 1", UniPC(1), "strong", 2),
    Promise("unipc", UniPC(), "strong", 3),
    Promise("unipc, order 2, bh1", UniPC(2, "bh1"), "strong", 3),
    Promise("unipc-bh2", UniPC(3), "strong", 3, 4),
    Promise("unipc-bh1", UniPC(3, "bh1"), "strong", 3, 4),
    Promise("deis", DEIS(), "strong", 2),
    Promise("deis, order 3", DEIS(3), "strong", 2, 3),
    Promise("deis, order 3, heun", DEIS(3, "heun"), "strong", 3),
    Promise("adams-bashforth", AdamsBashforth(), "strong", 2),
    Promise("adams-bashforth 3", AdamsBashforth(3), "strong", 3),
    Promise("dpm2", DPM2(), "strong", 2),
    Promise("dpm-fast", DPMFast(), "strong", 2),
    Promise("dpm-fast, 3n + 2 calls", DPMFast(2), "strong", 3),
    Promise("dpm-fast, eta = 1", DPMFast(2, 1.0), "weak", 3),
    Promise("dpm-adaptive", DPMAdaptive(3, 1e9, 1e9), "strong", 3),
    Promise("dpmpp-2s", DPMpp2S(), "strong", 2),
    Promise("lms", LMS(), "strong", 2, 4),
    Promise("plms", PLMS(), "strong", 2),
    Promise("dpm2-a", DPM2(1.0), "weak", 2),
    Promise("dpmpp-2s-a", DPMpp2S(1.0), "weak", 2),
    Promise("dpmpp-sde", DPMppSDE(), "weak", 2),
    Promise("rk45", RK45(1e9, 1e9), "strong", 5, 7),  # tiny constants at order 5: higher ones show
)
SCHEDULES: dict[str, Schedule] = {"vp-linear": VPLinear(), "cosine": Cosine(), "flow": Flow()}


def interior(schedule: Schedule, steps: int, high: float = 0.9, low: float = 0.1) -> Tensor:
    """Knots from `high` to `low`, equal in log(alpha/sigma)."""
    alpha, sigma = schedule(torch.tensor([high, low], dtype=torch.float64))
    first, last = (sigma / alpha).log().tolist()
    return schedule.time(torch.linspace(first, last, steps + 1, dtype=torch.float64).exp())


def walk(denoiser: Denoiser, sampler: Sampler, x: Tensor, times: Tensor, noise) -> Tensor:
    """Where the sampler ends."""
    for step in trajectory(bind(denoiser, Condition.empty(len(x))), sampler, x, times, noise):
        x = step.x
    return x


@lru_cache
def flow_end(schedule: Schedule) -> tuple[GaussianMixture, Tensor, Tensor]:
    """A mixture of three in the plane, eight points, and where its probability flow carries them."""
    means = torch.tensor([[1.0, 0.0], [-1.0, 0.5], [0.0, -1.0]], dtype=torch.float64)
    turned = torch.tensor([[0.30, 0.10], [0.10, 0.20]], dtype=torch.float64)
    oracle = GaussianMixture(schedule, means, torch.stack([turned, turned / 2, turned * 2]), torch.tensor([3, 2, 1]))
    x = KeyedNoise(range(8))(torch.zeros(8, 2, dtype=torch.float64), "start")
    return oracle, x, flowed(oracle, x, *interior(schedule, 1))


def flowed(oracle: GaussianMixture, x: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """x carried from t to s by d(x/alpha)/dkappa = eps, kappa = sigma/alpha, with scipy's order 8 at 13 digits."""
    (alpha_t, alpha_s), (sigma_t, sigma_s) = (a.tolist() for a in oracle.schedule(torch.stack([t, s])))

    def slope(kappa: float, y: np.ndarray) -> np.ndarray:
        time = oracle.schedule.time(kappa)
        return oracle(oracle.schedule(time)[0] * torch.from_numpy(y).reshape(x.shape), time).eps.flatten().numpy()

    begin, end = sigma_t / alpha_t, sigma_s / alpha_s
    found = solve_ivp(slope, (begin, end), (x / alpha_t).flatten().numpy(), "DOP853", rtol=1e-13, atol=1e-14)
    return alpha_s * torch.from_numpy(found.y[:, -1]).reshape(x.shape)


def strong_error(sampler: Sampler, schedule: Schedule) -> Callable[[int], float]:
    """Steps -> root mean square distance to the exact flow's end."""
    oracle, x, exact = flow_end(schedule)
    noise = KeyedNoise(range(8))
    return lambda steps: float(
        (walk(oracle, sampler, x, interior(schedule, steps), noise) - exact).square().mean().sqrt()
    )


class Probe:
    """Noise that is 1 in one row for one key, and 0 elsewhere: row i + 2 for the i-th key that is asked."""

    def __init__(self, rows: dict[tuple, int] | None = None, key: tuple = ()) -> None:
        self.rows, self.key = {} if rows is None else rows, key

    def at(self, *key) -> Probe:
        return Probe(self.rows, (*self.key, *key))

    def __call__(self, like: Tensor, *key) -> Tensor:
        z = torch.zeros_like(like)
        z[self.rows.setdefault((*self.key, *key), len(self.rows) + 2)] = 1
        return z


def weak_error(sampler: Sampler, schedule: Schedule) -> Callable[[int], float]:
    """Steps -> largest error of the mean and the variance on one Gaussian, begun at its exact marginal."""
    mean, variance = 0.5, 0.3
    oracle = Gaussian(schedule, torch.tensor([mean], dtype=torch.float64), variance)

    def error(steps: int) -> float:
        times = interior(schedule, steps)
        rows = torch.zeros(2 * steps + 2, 1, dtype=torch.float64)  # at most two draws a step
        rows[1] = 1
        constant, unit, *draws = walk(oracle, sampler, rows, times, Probe())[:, 0].tolist()
        (alpha_t, alpha_s), (sigma_t, sigma_s) = (a.tolist() for a in schedule(times[[0, -1]]))
        slope = unit - constant
        end_mean = constant + slope * alpha_t * mean
        end_variance = slope**2 * (alpha_t**2 * variance + sigma_t**2) + sum((d - constant) ** 2 for d in draws)
        return max(abs(end_mean - alpha_s * mean), abs(end_variance - alpha_s**2 * variance - sigma_s**2))

    return error


def measured(promise: Promise, schedule: Schedule, steps: int = 64) -> tuple[float, float]:
    """The order between `steps` and twice as many, and the error at `steps`."""
    error = (strong_error if promise.kind == "strong" else weak_error)(promise.sampler, schedule)
    coarse, fine = error(steps), error(2 * steps)
    return math.log2(coarse / fine), coarse


class Counted:
    """An oracle that counts its calls."""

    def __init__(self, oracle: GaussianMixture) -> None:
        self.oracle, self.schedule, self.calls = oracle, oracle.schedule, 0

    def __call__(self, x: Tensor, t: Tensor, condition: Condition) -> Prediction:
        self.calls += 1
        return self.oracle(x, t, condition)


def adaptive(tolerance: float, schedule: Schedule, steps: int = 1) -> tuple[float, int]:
    """RK45 at that rtol and atol: the largest error over x, and the network calls."""
    oracle, x, exact = flow_end(schedule)
    counted = Counted(oracle)
    end = walk(counted, RK45(tolerance, tolerance), x, interior(schedule, steps), KeyedNoise(range(8)))
    return float((end - exact).abs().max()), counted.calls


def main() -> None:
    torch.set_num_threads(1)
    print(f"{'sampler':<22}{'schedule':<12}{'kind':<8}{'measured':>9}{'promised':>9}{'error at 64 steps':>20}")
    for promise in PROMISES:
        for name, schedule in SCHEDULES.items():
            order, error = measured(promise, schedule)
            kept = "" if promise.kept(order, 0.15) else "  not kept"
            print(f"{promise.name:<22}{name:<12}{promise.kind:<8}{order:>9.2f}{promise!s:>9}{error:>20.1e}{kept}")
    print(f"\n{'rk45, tolerance':<22}{'schedule':<12}{'error':>9}{'calls':>9}")
    for tolerance in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6):
        for name, schedule in SCHEDULES.items():
            error, calls = adaptive(tolerance, schedule)
            print(f"{tolerance:<22.0e}{name:<12}{error:>9.1e}{calls:>9}")


if __name__ == "__main__":
    main()
