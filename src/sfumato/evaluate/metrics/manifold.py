"""Precision and recall, density and coverage: how two sets of features lie in each other's neighbourhoods.

A set's manifold is the union of the balls around its rows that reach to their k-th nearest neighbours (a row is no
neighbour of its own). Distances are Euclidean, in float64, and a row on the rim of a ball lies in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from sfumato.evaluate.metric import METRICS, FeatureMetric, resampled
from sfumato.evaluate.statistics import in_chunks

RIM = 1e-12  # of the largest squared length: what rounding may take from a row on a rim


def squares(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Squared distances of all rows of y (M, D) to a few rows of x (N, D) at a time: (chunk, M)."""
    y = np.asarray(y, np.float64)
    lengths = (y * y).sum(1)
    for part, rows in in_chunks(x, len(y)):
        yield part, ((rows * rows).sum(1)[:, None] + lengths - 2 * rows @ y.T).clip(min=0)


def radii(x: np.ndarray, k: int) -> np.ndarray:
    """The squared distance of each row to its k-th nearest other row, (N,); all others if there are fewer than k."""
    found = np.empty(len(x))
    k = min(k, len(x) - 1)
    for part, square in squares(x, x):
        square[np.arange(len(square)), np.arange(part.start, part.stop)] = 0.0
        found[part] = np.partition(square, k, axis=1)[:, k]
    return found


def inside_balls(x: np.ndarray, centres: np.ndarray, radius: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Whether rows of x lie in the balls around `centres` (M, D) of the squared `radius` (M,): (chunk, M), bool."""
    slack = RIM * float((np.asarray(centres, np.float64) ** 2).sum(1).max())
    for part, square in squares(x, centres):
        yield part, square <= radius + slack


def precision(generated: np.ndarray, real: np.ndarray, k: int = 3, weights: np.ndarray | None = None) -> np.ndarray:
    """The share of generated rows that lie in the real manifold (Kynkaanniemi et al. 2019, eq. 2), (B,).

    weights (B, N): how often each generated row counts, once by default; so in all four functions.
    """
    hits = np.concatenate([ball.any(1) for _, ball in inside_balls(generated, real, radii(real, k))])
    w = _weights(weights, generated)
    return w @ hits / w.sum(1)


def recall(generated: np.ndarray, real: np.ndarray, k: int = 3, weights: np.ndarray | None = None) -> np.ndarray:
    """The share of real rows that lie in the generated manifold (Kynkaanniemi et al. 2019, eq. 2), (B,).

    Weights take balls away from the generated manifold; they don't change how far those that stay reach.
    """
    w = (_weights(weights, generated) > 0).astype(np.float32)
    found = np.zeros(len(w))
    for _, ball in inside_balls(real, generated, radii(generated, k)):
        found += (ball.astype(np.float32) @ w.T > 0).sum(0)
    return found / len(real)


def density(generated: np.ndarray, real: np.ndarray, k: int = 5, weights: np.ndarray | None = None) -> np.ndarray:
    """How many balls of the real manifold a generated row lies in, on average, over k (Naeem et al. 2020, eq. 3), (B,).

    1 is expected of equal distributions; it may be larger.
    """
    balls = np.concatenate([ball.sum(1) for _, ball in inside_balls(generated, real, radii(real, k))])
    w = _weights(weights, generated)
    return w @ balls / w.sum(1) / k


def coverage(generated: np.ndarray, real: np.ndarray, k: int = 5, weights: np.ndarray | None = None) -> np.ndarray:
    """The share of the real balls that hold a generated row (Naeem et al. 2020, eq. 4), (B,).

    `coverage_of_equals` is expected of equal distributions: compare it at equal counts alone.
    """
    w = (_weights(weights, generated) > 0).astype(np.float32)
    held = np.zeros((len(w), len(real)), bool)
    for part, ball in inside_balls(generated, real, radii(real, k)):
        held |= w[:, part] @ ball.astype(np.float32) > 0
    return held.mean(1)


def coverage_of_equals(generated: int, real: int, k: int = 5) -> float:
    """The coverage that is expected of `generated` and `real` rows of one distribution (Naeem et al. 2020, lemma 2):

        1 - prod_(i = 1..k) (real - i)/(generated + real - i)

    since a ball is empty where the k nearest of all other rows are real ones. 1 - 2^-k for many of equal number.
    """
    return 1 - math.prod((real - i) / (generated + real - i) for i in range(1, min(k, real - 1) + 1))


def _weights(weights: np.ndarray | None, generated: np.ndarray) -> np.ndarray:
    return np.ones((1, len(generated))) if weights is None else weights


for name, measure, source, most in (
    ("precision", precision, "Kynkaanniemi et al. 2019", 1.0),
    ("recall", recall, "Kynkaanniemi et al. 2019", 1.0),
    ("density", density, "Naeem et al. 2020", math.inf),
    ("coverage", coverage, "Naeem et al. 2020", 1.0),
):
    METRICS.add(
        name,
        FeatureMetric(title=name, better="higher", source=source, statistic=resampled(measure), within=(0, most)),
    )
