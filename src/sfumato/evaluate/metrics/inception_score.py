"""The Inception Score: sure about each picture, varied over all of them."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from scipy.special import log_softmax

from sfumato.evaluate.features.extractor import LOGITS
from sfumato.evaluate.metric import METRICS, FeatureMetric, FeatureSets
from sfumato.evaluate.statistics import Figure, bootstrapped

SPLIT = 5000  # pictures in a split


def inception_score(logits: np.ndarray, splits: int = 1, seed: int | None = None) -> np.ndarray:
    """exp of the mean over x of KL(p(y|x) || p(y)) for each of `splits` parts, (splits,); from 1 to the number of
    classes (Salimans et al. 2016, section 4).

    logits: (N, classes), p(y|x) = softmax(logits), p(y) its mean over the part. The figure is the mean over the parts.
    With a `seed` the rows are shuffled first, as torch-fidelity does (10 splits, seed 2020).
    """
    if seed is not None:
        logits = logits[np.random.RandomState(seed).permutation(len(logits))]
    edges = [i * len(logits) // splits for i in range(splits + 1)]
    return np.array([score_of(logits[a:b]) for a, b in pairwise(edges)])


def score_of(logits: np.ndarray, weights: np.ndarray | None = None) -> float:
    """The score of one part, its rows counted as `weights` (N,) says."""
    log_p = log_softmax(np.asarray(logits, np.float64), axis=1)
    p = np.exp(log_p)
    w = np.full(len(p), 1 / len(p)) if weights is None else weights / weights.sum()
    marginal = w @ p
    entropy = -(marginal[marginal > 0] * np.log(marginal[marginal > 0])).sum()
    return float(np.exp(entropy + w @ (p * log_p).sum(1)))


def splits_of(count: int) -> int:
    """One split for every 5,000 pictures, at least one: ten for the 50,000 of the papers' tables."""
    return max(1, count // SPLIT)


def mean_of_splits(sets: FeatureSets) -> Figure:
    """The mean over splits of 5,000 pictures; the spread is that of the score of all of them."""
    logits = np.asarray(sets.generated[LOGITS], np.float64)
    value = inception_score(logits, splits_of(len(logits))).mean()
    return bootstrapped([value, *(score_of(logits, w) for w in sets.weights[1:])], len(sets))


METRICS.add(
    "is",
    FeatureMetric(
        title="Inception Score",
        better="higher",
        source="Salimans et al. 2016",
        statistic=mean_of_splits,
        needs=LOGITS,
        within=(1, math.inf),
    ),
)
