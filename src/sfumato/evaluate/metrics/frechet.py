"""FID and sFID: the Frechet distance of two Gaussians, from streamed moments."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import eigh, eigvalsh

from sfumato.evaluate.features.extractor import POOL, SPATIAL
from sfumato.evaluate.metric import METRICS, FeatureMetric, FeatureSets
from sfumato.evaluate.statistics import Figure, bootstrapped, in_chunks

WIDE, FEW = 512, 20  # columns beyond which a distance takes seconds, and how many resamples it then gets


@dataclass(frozen=True)
class Moments:
    """Count, mean (D,) and scatter (D, D), the sum of the outer products of deviations, of rows in float64.

    Two sets' moments add up to those of their union (Chan, Golub and LeVeque 1983, eq. 2.1), so rows may stream:

        mean = mean_a + n_b/n gap,      scatter = scatter_a + scatter_b + n_a n_b/n gap gap',      gap = mean_b - mean_a
    """

    count: float
    mean: np.ndarray
    scatter: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray, weights: np.ndarray | None = None) -> Moments:
        """The moments of rows (N, D), each counted once or as often as `weights` (N,) says; read in chunks."""
        dimensions = rows.shape[1]
        total = cls(0, np.zeros(dimensions), np.zeros((dimensions, dimensions)))
        for part, x in in_chunks(rows, dimensions):
            w = np.ones(len(x)) if weights is None else weights[part]
            count = float(w.sum())
            if count:
                mean = w @ x / count
                x = (x - mean) * np.sqrt(w)[:, None]
                total = total + cls(count, mean, x.T @ x)
        return total

    def __add__(self, other: Moments) -> Moments:
        count, gap = self.count + other.count, other.mean - self.mean
        return Moments(
            count,
            self.mean + other.count / count * gap,
            self.scatter + other.scatter + self.count * other.count / count * np.outer(gap, gap),
        )

    @property
    def covariance(self) -> np.ndarray:
        """The unbiased covariance, scatter/(count - 1)."""
        return self.scatter / (self.count - 1)

    @cached_property
    def root(self) -> np.ndarray:
        """The symmetric square root of the covariance."""
        values, vectors = eigh(self.covariance)
        return (vectors * np.sqrt(values.clip(min=0))) @ vectors.T


def frechet(a: Moments, b: Moments) -> float:
    """The squared Frechet (2-Wasserstein) distance of two Gaussians (Dowson, Landau 1982; Heusel et al. 2017, eq. 6):

        |m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2))

    On features it is FID, on spatial features sFID (Nash et al. 2021). The trace of the root is the sum of the roots
    of the eigenvalues of S_b^(1/2) S_a S_b^(1/2), which is symmetric: no complex parts, no regularisation when there
    are fewer rows than dimensions. 0 for equal moments; it needs two rows in each set.
    """
    gap = a.mean - b.mean
    together = np.sqrt(eigvalsh(b.root @ a.covariance @ b.root).clip(min=0)).sum()
    return max(0.0, float(gap @ gap + np.trace(a.covariance) + np.trace(b.covariance) - 2 * together))


def distance_of(kind: str) -> Callable[[FeatureSets], Figure]:
    """The distance of one kind of features, with the interval of its bootstrap resamples."""

    def statistic(sets: FeatureSets) -> Figure:
        generated, real = sets.generated[kind], sets.moments(kind)
        weights = sets.weights if generated.shape[1] <= WIDE else sets.weights[: 1 + FEW]
        return bootstrapped([frechet(Moments.of(generated, w), real) for w in weights], len(sets))

    return statistic


METRICS.add(
    "fid",
    FeatureMetric(
        title="FID", better="lower", source="Heusel et al. 2017", statistic=distance_of(POOL), within=(0, math.inf)
    ),
)
METRICS.add(
    "sfid",
    FeatureMetric(
        title="sFID",
        better="lower",
        source="Nash et al. 2021",
        statistic=distance_of(SPATIAL),
        needs=SPATIAL,
        within=(0, math.inf),
    ),
)
