"""Measured convergence orders of every sampler, against exact oracles.

    python benchmarks/orders.py

Strong orders: the distance to the probability flow's exact end, on a mixture of Gaussians in the plane. Weak orders:
the error of the mean and the variance on Gaussian data, where a sampler is affine in its start and in each of its
noises, so that one run with a row for each of them gives both exactly, without Monte Carlo. Both on an interior range
(t = 0.9 to 0.1) with steps equal in log(alpha/sigma), in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from sfumato.condition import Condition
from sfumato.denoise import Gaussian, GaussianMixture, bind
from sfumato.noise import KeyedNoise
from sfumato.sample import DDIM, DDPM, DPMpp2M, Euler, Heun, Sampler, trajectory
from sfumato.schedule import Cosine, Flow, Schedule, VPLinear


@dataclass(frozen=True)
class Promise:
    """A sampler, the kind of convergence, and the order it is known for."""

    name: str
    sampler: Sampler
    kind: str  # "strong" or "weak"
    order: int


PROMISES = (
    Promise("ddim", DDIM(), "strong", 1),
    Promise("euler", Euler(), "strong", 1),
    Promise("heun", Heun(), "strong", 2),
    Promise("heun, in kappa", Heun(form="kappa"), "strong", 2),
    Promise("dpmpp-2m", DPMpp2M(), "strong", 2),
    Promise("ddpm", DDPM(), "weak", 1),
    Promise("ddpm, large variance", DDPM("large"), "weak", 1),
    Promise("ddim, eta = 0.5", DDIM(0.5), "weak", 1),
    Promise("dpmpp-2m-sde", DPMpp2M(sde=True), "weak", 2),
)
SCHEDULES: dict[str, Schedule] = {"vp-linear": VPLinear(), "cosine": Cosine(), "flow": Flow()}


def interior(schedule: Schedule, steps: int, high: float = 0.9, low: float = 0.1) -> Tensor:
    """Knots from `high` to `low`, equal in log(alpha/sigma)."""
    alpha, sigma = schedule(torch.tensor([high, low], dtype=torch.float64))
    first, last = (sigma / alpha).log().tolist()
    return schedule.time(torch.linspace(first, last, steps + 1, dtype=torch.float64).exp())


def walk(denoiser: GaussianMixture, sampler: Sampler, x: Tensor, times: Tensor, noise) -> Tensor:
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
    noise = KeyedNoise(range(8))
    x = noise(torch.zeros(8, 2, dtype=torch.float64), "start")
    return oracle, x, walk(oracle, Heun(), x, interior(schedule, 1024), noise)


def strong_error(sampler: Sampler, schedule: Schedule) -> Callable[[int], float]:
    """Steps -> root mean square distance to the exact flow's end."""
    oracle, x, exact = flow_end(schedule)
    noise = KeyedNoise(range(8))
    return lambda steps: float(
        (walk(oracle, sampler, x, interior(schedule, steps), noise) - exact).square().mean().sqrt()
    )


class Probe:
    """Noise that is 1 in one row at one step: row i + 2 at step i, and 0 elsewhere."""

    def __init__(self, key: tuple = ()) -> None:
        self.key = key

    def at(self, *key) -> Probe:
        return Probe((*self.key, *key))

    def __call__(self, like: Tensor, *key) -> Tensor:
        z = torch.zeros_like(like)
        z[2 + self.key[1]] = 1
        return z


def weak_error(sampler: Sampler, schedule: Schedule) -> Callable[[int], float]:
    """Steps -> largest error of the mean and the variance on one Gaussian, begun at its exact marginal."""
    mean, variance = 0.5, 0.3
    oracle = Gaussian(schedule, torch.tensor([mean], dtype=torch.float64), variance)

    def error(steps: int) -> float:
        times = interior(schedule, steps)
        rows = torch.zeros(steps + 2, 1, dtype=torch.float64)
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


def main() -> None:
    torch.set_num_threads(1)
    print(f"{'sampler':<22}{'schedule':<12}{'kind':<8}{'measured':>9}{'promised':>9}{'error at 64 steps':>20}")
    for promise in PROMISES:
        for name, schedule in SCHEDULES.items():
            order, error = measured(promise, schedule)
            print(f"{promise.name:<22}{name:<12}{promise.kind:<8}{order:>9.2f}{promise.order:>9}{error:>20.1e}")


if __name__ == "__main__":
    main()
