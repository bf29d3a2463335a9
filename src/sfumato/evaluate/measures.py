"""The measures of two sets of pictures, as one table: what each needs, what is better, and how it is taken."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from sfumato.evaluate import metrics as m
from sfumato.evaluate.features.extractor import LOGITS, POOL, SPATIAL
from sfumato.evaluate.metrics.inception_score import score, splits_of
from sfumato.evaluate.metrics.kernel import polynomial
from sfumato.evaluate.statistics import Figure, bootstrapped, mean

WORDS, PAIRS, DENSITY = "words", "pairs", "density"
WIDE, FEW = 512, 20  # columns beyond which a Frechet distance takes seconds, and how many resamples it then gets


@dataclass(frozen=True)
class Sets:
    """Features by kind of the pictures that are measured and of the reference.

    weights (1 + resamples, N): how often each measured picture counts; the first row once each. moments: of a kind of
    the reference's features. cosines: of each measured picture with its words, where the features read words.
    """

    made: Mapping[str, np.ndarray]
    true: Mapping[str, np.ndarray]
    weights: np.ndarray
    moments: Callable[[str], m.Moments]
    cosines: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.made[POOL])


@dataclass(frozen=True)
class Measure:
    """needs: the kind of features, or WORDS, PAIRS, DENSITY. better: "lower" or "higher". within: what it can be."""

    title: str
    needs: str
    better: str
    source: str
    take: Callable[[Sets], Figure] | None = None
    within: tuple[float, float] = (-math.inf, math.inf)

    def figure(self, figure: Figure) -> Figure:
        """The figure with its interval cut to what the measure can be."""
        low, high = self.within
        return replace(figure, low=max(figure.low, low), high=min(figure.high, high))


def frechet_of(kind: str) -> Callable[[Sets], Figure]:
    def take(sets: Sets) -> Figure:
        made, true = sets.made[kind], sets.moments(kind)
        weights = sets.weights if made.shape[1] <= WIDE else sets.weights[: 1 + FEW]
        return bootstrapped([m.frechet(m.Moments.of(made, w), true) for w in weights], len(sets))

    return take


def kid(sets: Sets) -> Figure:
    """The mean over subsets; the spread is that of the estimate on all pictures."""
    values = [m.kid(sets.made[POOL], sets.true[POOL]).mean()]
    if len(sets.weights) > 1:
        values += m.mmd(polynomial, sets.made[POOL], sets.true[POOL], sets.weights[1:]).tolist()
    return bootstrapped(values, len(sets))


def inception_score(sets: Sets) -> Figure:
    """The mean over splits of 5,000 pictures; the spread is that of the score of all of them."""
    logits = np.asarray(sets.made[LOGITS], np.float64)
    value = m.inception_score(logits, splits_of(len(logits))).mean()
    return bootstrapped([value, *(score(logits, w) for w in sets.weights[1:])], len(sets))


def weighted(measure: Callable[..., np.ndarray]) -> Callable[[Sets], Figure]:
    def take(sets: Sets) -> Figure:
        return bootstrapped(measure(sets.made[POOL], sets.true[POOL], weights=sets.weights), len(sets))

    return take


def clip_score(sets: Sets) -> Figure:
    assert sets.cosines is not None
    return mean(m.clip_score(sets.cosines))


def cosine(sets: Sets) -> Figure:
    assert sets.cosines is not None
    return mean(sets.cosines)


MEASURES: dict[str, Measure] = {
    "fid": Measure("FID", POOL, "lower", "Heusel et al. 2017", frechet_of(POOL), (0, math.inf)),
    "sfid": Measure("sFID", SPATIAL, "lower", "Nash et al. 2021", frechet_of(SPATIAL), (0, math.inf)),
    "kid": Measure("KID", POOL, "lower", "Binkowski et al. 2018", kid),
    "cmmd": Measure("CMMD", POOL, "lower", "Jayasumana et al. 2024", weighted(m.cmmd), (0, math.inf)),
    "is": Measure("Inception Score", LOGITS, "higher", "Salimans et al. 2016", inception_score, (1, math.inf)),
    "precision": Measure("precision", POOL, "higher", "Kynkaanniemi et al. 2019", weighted(m.precision), (0, 1)),
    "recall": Measure("recall", POOL, "higher", "Kynkaanniemi et al. 2019", weighted(m.recall), (0, 1)),
    "density": Measure("density", POOL, "higher", "Naeem et al. 2020", weighted(m.density), (0, math.inf)),
    "coverage": Measure("coverage", POOL, "higher", "Naeem et al. 2020", weighted(m.coverage), (0, 1)),
    "clip-score": Measure("CLIP score", WORDS, "higher", "Hessel et al. 2021", clip_score),
    "clip-cosine": Measure("CLIP cosine", WORDS, "higher", "Hessel et al. 2021", cosine),
    "psnr": Measure("PSNR in dB", PAIRS, "higher", "mean squared error of the pairs"),
    "ssim": Measure("SSIM", PAIRS, "higher", "Wang et al. 2004"),
    "lpips": Measure("LPIPS", PAIRS, "lower", "Zhang et al. 2018"),
    "bits-per-dim": Measure("bits/dim", DENSITY, "lower", "Ho et al. 2020, eq. 5"),
}
ALWAYS = ("fid", "sfid", "kid", "is", "precision", "recall", "density", "coverage", "clip-score", "psnr", "ssim")
