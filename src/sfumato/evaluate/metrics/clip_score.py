"""The CLIP score: how well pictures and words fit, as CLIP sees it."""

from __future__ import annotations

import numpy as np

from sfumato.evaluate.metric import CAPTIONS, METRICS, FeatureMetric, FeatureSets
from sfumato.evaluate.metrics.kernel import unit
from sfumato.evaluate.statistics import Figure, mean


def cosines(pictures: np.ndarray, words: np.ndarray) -> np.ndarray:
    """The cosine of each picture's embedding with its words' embedding, (N,)."""
    return (unit(pictures) * unit(words)).sum(1)


def clip_score(cosine: np.ndarray) -> np.ndarray:
    """100 max(cos, 0) of each pair, (N,) (Hessel et al. 2021, eq. 1, with the weight 100 that tables print instead of
    the paper's 2.5)."""
    return 100 * np.maximum(cosine, 0)


def mean_score(sets: FeatureSets) -> Figure:
    assert sets.cosines is not None
    return mean(clip_score(sets.cosines))


def mean_cosine(sets: FeatureSets) -> Figure:
    assert sets.cosines is not None
    return mean(sets.cosines)


METRICS.add(
    "clip-score",
    FeatureMetric(
        title="CLIP score", better="higher", source="Hessel et al. 2021", statistic=mean_score, needs=CAPTIONS
    ),
)
METRICS.add(
    "clip-cosine",
    FeatureMetric(
        title="CLIP cosine",
        better="higher",
        source="Hessel et al. 2021",
        statistic=mean_cosine,
        needs=CAPTIONS,
        default=False,
    ),
)
