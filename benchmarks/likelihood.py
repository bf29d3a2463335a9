"""Likelihoods against the closed form of a Gaussian mixture, for every schedule.

    python benchmarks/likelihood.py

First -log p of eight points in nats: the closed form, the probability flow's exact density (its trace in full, and by
Hutchinson's estimator with random signs), and what they cost. Then the variational bound of 4,000 points, in bits per
dimension above the closed form: it stays above, and comes down as the steps become many. Last the entropy of a reverse
step on Gaussian data, between Sohl-Dickstein's two bounds.
"""

from __future__ import annotations

import argparse

import torch
from orders import Counted
from torch import Tensor

from sfumato.condition import Condition
from sfumato.denoise import Gaussian, GaussianMixture, bind
from sfumato.evaluate.likelihood import (
    conditional_entropy,
    conditional_entropy_bounds,
    hutchinson,
    in_bits,
    log_likelihood,
    variational_bound,
)
from sfumato.noise import KeyedNoise
from sfumato.schedule import EDM, VE, Cosine, Discrete, Flow, Schedule, SubVP, VPLinear
from sfumato.times import grid

SCHEDULES: dict[str, Schedule] = {
    "linear table": Discrete.named(),
    "vp-linear": VPLinear(),
    "sub-vp": SubVP(),
    "cosine": Cosine(),
    "ve": VE(),
    "edm": EDM(),
    "flow": Flow(),
}
STEPS = (10, 30, 100, 300, 1000)
POINTS = 8


class Matched:
    """The noise of many rows, drawn at once, of mean 0 and variance 1 to the last digit: most of its chance is gone."""

    def __call__(self, like: Tensor, *key) -> Tensor:
        z = KeyedNoise([0])(like[None], *key)[0]
        return (z - z.mean(0)) / z.std(0, correction=0)


def mixture(schedule: Schedule) -> GaussianMixture:
    """Two turned Gaussians in the plane, of unequal weight."""
    means = torch.tensor([[1.0, 0.0], [-1.0, 0.5]], dtype=torch.float64)
    turned = torch.tensor([[[0.20, 0.05], [0.05, 0.10]], [[0.10, -0.04], [-0.04, 0.08]]], dtype=torch.float64)
    return GaussianMixture(schedule, means, turned, torch.tensor([0.7, 0.3]))


def flow_row(schedule: Schedule) -> tuple[float, float, float, int]:
    """-log p in nats: the closed form, exact, by Hutchinson with 16 probes; and the network calls of the exact one."""
    data = mixture(schedule)
    counted, x = Counted(data), data.draw(POINTS)
    denoise = bind(counted, Condition.empty(POINTS))
    found = log_likelihood(denoise, x)
    calls = counted.calls
    estimate = log_likelihood(denoise, x, divergence=hutchinson(KeyedNoise(range(POINTS)), 16))
    return *(-float(a.mean()) for a in (data.log_density(x), found, estimate)), calls


def bound_gap(schedule: Schedule, steps: int, points: int, kind: str = "uniform") -> float:
    """Bits per dimension between the bound with `steps` steps and -log p, averaged over `points` points."""
    data = mixture(schedule)
    x = data.draw(points)
    denoise = bind(data, Condition.empty(points))
    found = variational_bound(denoise, x, grid(kind, steps, schedule), Matched(), levels=None)
    return float((found.total - in_bits(data.log_density(x), 2, levels=None)).mean())


def entropies(schedule: Schedule, s: Tensor, t: Tensor) -> tuple[float, float, float]:
    """The lower bound on H(X_s | X_t), its truth, and the upper bound, in nats, on N(0, 0.3) in the plane."""
    data = Gaussian(schedule, torch.zeros(2, dtype=torch.float64), 0.3)
    low, high = conditional_entropy_bounds(schedule, s, t, size=2)
    return float(low), float(conditional_entropy(data, s, t)), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=4_000, help="points for the bound (default 4,000)")
    points = parser.parse_args().points
    torch.set_num_threads(1)

    print(f"{'schedule':<14}{'closed form':>12}{'exact':>10}{'error':>9}{'Hutchinson':>12}{'calls':>7}   nats a point")
    for name, schedule in SCHEDULES.items():
        true, found, estimate, calls = flow_row(schedule)
        error = abs(found - true) / abs(true)
        print(f"{name:<14}{true:>12.4f}{found:>10.4f}{100 * error:>8.2f}%{estimate:>12.4f}{calls:>7}")

    print(f"\n{'bound, above':<14}" + "".join(f"{f'{n} steps':>12}" for n in STEPS) + "   bits per dimension")
    for name, schedule in SCHEDULES.items():
        kind = "karras" if name in ("ve", "edm") else "uniform"
        gaps = [bound_gap(schedule, n, points, kind) for n in STEPS]
        print(f"{name:<14}" + "".join(f"{gap:>12.4f}" for gap in gaps))

    print(f"\n{'entropy':<14}{'kappa':>14}{'lower':>10}{'true':>10}{'upper':>10}   nats")
    for name in ("vp-linear", "cosine", "ve", "edm"):
        schedule = SCHEDULES[name]
        for high, low in ((4.0, 2.0), (1.0, 0.5), (0.2, 0.1)):
            t, s = schedule.time(torch.tensor([high, low], dtype=torch.float64))
            values = "".join(f"{v:>10.4f}" for v in entropies(schedule, s, t))
            print(f"{name:<14}{f'{high:g} to {low:g}':>14}{values}")


if __name__ == "__main__":
    main()
