"""Maximum mean discrepancy: KID with its polynomial kernel, CMMD with its Gaussian one."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from sfumato.evaluate.features.extractor import POOL
from sfumato.evaluate.metric import METRICS, FeatureMetric, FeatureSets, resampled
from sfumato.evaluate.statistics import Figure, bootstrapped, in_chunks

Kernel = Callable[[np.ndarray, np.ndarray], np.ndarray]


def polynomial(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """k(x, y) = (x.y/D + 1)^3 (Binkowski et al. 2018, eq. 4), (N, M)."""
    return (x @ y.T / x.shape[1] + 1) ** 3


def gaussian(x: np.ndarray, y: np.ndarray, sigma: float = 10.0) -> np.ndarray:
    """k(x, y) = exp(-|x - y|^2/(2 sigma^2)) (Jayasumana et al. 2024, eq. 5), (N, M)."""
    square = (x * x).sum(1)[:, None] + (y * y).sum(1) - 2 * x @ y.T
    return np.exp(-square.clip(min=0) / (2 * sigma**2))


def total(kernel: Kernel, x: np.ndarray, y: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """sum_ij u_i k(x_i, y_j) v_j for each row of the weights u (B, N) and v (B, M) or (1, M): (B,)."""
    y = np.asarray(y, np.float64)
    found = np.zeros(len(u))
    for part, rows in in_chunks(x, len(y)):
        found += (u[:, part] * (v @ kernel(rows, y).T)).sum(1)
    return found


def diagonal(kernel: Kernel, x: np.ndarray) -> np.ndarray:
    """k(x_i, x_i), (N,)."""
    return np.array([kernel(row[None], row[None])[0, 0] for row in np.asarray(x, np.float64)])


def mmd(kernel: Kernel, x: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None, biased: bool = False):
    """The squared maximum mean discrepancy of x (N, D) and y (M, D), (B,) for `weights` (B, N) of x (default ones).

    Unbiased (Gretton et al. 2012, eq. 3): means over i != j of k(x_i, x_j) and of k(y_i, y_j), minus twice the mean of
    k(x_i, y_j); it may be negative. Biased (eq. 5): the means run over all pairs; it is 0 for equal sets.
    """
    u = np.ones((1, len(x))) if weights is None else weights
    v = np.ones((1, len(y)))
    n, m = u.sum(1), len(y)
    xx, yy = total(kernel, x, x, u, u), total(kernel, y, y, v, v)
    if biased:
        same = xx / n**2 + yy / m**2
    else:
        same = (xx - u @ diagonal(kernel, x)) / (n * (n - 1)) + (yy - diagonal(kernel, y).sum()) / (m * (m - 1))
    return same - 2 * total(kernel, x, y, u, v) / (n * m)


def kid(x: np.ndarray, y: np.ndarray, subsets: int = 100, size: int = 1000, seed: int = 2020) -> np.ndarray:
    """Kernel Inception distance: the unbiased squared MMD, polynomial kernel, of `subsets` random subsets: (subsets,).

    Its mean is the figure that is printed and its standard deviation the usual "+-" (Binkowski et al. 2018, appendix
    A). Subsets have `size` rows, or all of the smaller set where it has fewer. The defaults, the draws among them, are
    torch-fidelity's.
    """
    draw, size = np.random.RandomState(seed), min(size, len(x), len(y))
    if size == len(x) == len(y):  # every subset is the whole
        return mmd(polynomial, x, y)
    found = []
    for _ in range(subsets):
        i, j = (np.sort(draw.choice(len(rows), size, replace=False)) for rows in (x, y))
        found.append(mmd(polynomial, x[i], y[j])[0])
    return np.array(found)


def cmmd(x: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """CLIP maximum mean discrepancy (Jayasumana et al. 2024): 1000 times the biased squared MMD of the features at
    unit length with the Gaussian kernel of sigma = 10, (B,). 0 for equal sets, about 10 |difference of means|^2 else:
    on unit vectors so wide a kernel is nearly linear."""
    return 1000 * mmd(gaussian, unit(x), unit(y), weights, biased=True)


def unit(x: np.ndarray) -> np.ndarray:
    """Rows at length 1 in float64; rows of zeros stay."""
    x = np.asarray(x, np.float64)
    return x / np.linalg.norm(x, axis=1, keepdims=True).clip(min=1e-12)


def kid_figure(sets: FeatureSets) -> Figure:
    """The mean over subsets; the spread is that of the estimate on all pictures."""
    values = [kid(sets.generated[POOL], sets.real[POOL]).mean()]
    if len(sets.weights) > 1:
        values += mmd(polynomial, sets.generated[POOL], sets.real[POOL], sets.weights[1:]).tolist()
    return bootstrapped(values, len(sets))


METRICS.add("kid", FeatureMetric(title="KID", better="lower", source="Binkowski et al. 2018", statistic=kid_figure))
METRICS.add(
    "cmmd",
    FeatureMetric(
        title="CMMD",
        better="lower",
        source="Jayasumana et al. 2024",
        statistic=resampled(cmmd),
        within=(0, math.inf),
        family="clip",
    ),
)
