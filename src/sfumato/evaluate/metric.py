"""What a metric is, and the registry in which metrics are found by name.

A metric is one file of `sfumato.evaluate.metrics` that registers itself, or a stranger's in a few lines:

    METRICS.add("mean-gap", FeatureMetric(title="gap of the means", better="lower", source="Doe 2025", statistic=gap))

and `sfumato evaluate --against vignettes --metrics mean-gap` measures it. What the command line offers, what is
measured where nobody names metrics, and the rows of the report all come from here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sfumato.element import Registry
from sfumato.evaluate.features.extractor import LOGITS, POOL, SPATIAL, Extractor
from sfumato.evaluate.statistics import Figure, bootstrapped
from sfumato.lazy import Tensor

if TYPE_CHECKING:
    from sfumato.evaluate.model_samples import SampleSettings
    from sfumato.evaluate.pictures import Pictures
    from sfumato.model import Pipe

CAPTIONS = "captions"
LACKING = {  # what a feature metric misses where its `needs` is not there
    CAPTIONS: "needs features that read words, as clip:FOLDER, and captions of all pictures",
    LOGITS: "needs features with classes, as inception or a classifier's folder",
    SPATIAL: "needs features with a map, as inception",
}
PairDistance = Callable[[Tensor, Tensor], Tensor]
"""distance(x, y): pictures (B, 3, H, W) in [-1, 1] twice -> (B,)"""


@dataclass(frozen=True)
class FeatureSets:
    """Features of the generated and of the real pictures, rows (N, D) by kind.

    weights (1 + resamples, N): how often each generated picture counts; the first row once each. moments(kind): those
    of the real features. cosines: of each generated picture with its caption, where the features read words.
    """

    generated: Mapping[str, np.ndarray]
    real: Mapping[str, np.ndarray]
    weights: np.ndarray
    moments: Callable[[str], Any]
    cosines: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.generated[POOL])


@dataclass(frozen=True, kw_only=True)
class Metric:
    """What every metric says of itself.

    title: as it is printed. better: "lower" or "higher". source: the paper. within: what its values can be; an
    interval is cut to that. default: whether it is measured where nobody names metrics and its needs are met. fewest:
    how many pictures a set needs for it.
    """

    title: str
    better: Literal["lower", "higher"]
    source: str
    within: tuple[float, float] = (-math.inf, math.inf)
    default: bool = True
    fewest: int = 1

    def bounded(self, figure: Figure) -> Figure:
        """The figure with its interval cut to what the metric can be."""
        low, high = self.within
        return replace(figure, low=max(figure.low, low), high=min(figure.high, high))


@dataclass(frozen=True, kw_only=True)
class FeatureMetric(Metric):
    """A statistic of two sets of features, with its interval: by bootstrap over the generated pictures
    (`resampled`), or that of a mean over pictures.

    needs: the kind of features, POOL, LOGITS or SPATIAL, or CAPTIONS. family: the beginning of the names of the
    features that it is defined on, "" for any; it is a default with these alone.
    """

    statistic: Callable[[FeatureSets], Figure]
    needs: str = POOL
    family: str = ""
    fewest: int = 5

    def possible(self, sets: FeatureSets) -> bool:
        """Whether these sets have what the statistic needs."""
        return sets.cosines is not None if self.needs == CAPTIONS else self.needs in sets.generated

    def lacking(self) -> str:
        return LACKING.get(self.needs, "needs other features")


@dataclass(frozen=True, kw_only=True)
class PairMetric(Metric):
    """The mean, over pairs of pictures, of a distance or likeness of two: of a result and what it should be.

    load(weights): the function of two batches, and what it reads them with ("pixels"); weights is a folder, for
    networks that have some. smallest: the shortest side of a picture in pixels.
    """

    load: Callable[[str | None], tuple[PairDistance, str]]
    smallest: int = 1


@dataclass(frozen=True, kw_only=True)
class ModelMetric(Metric):
    """A figure of the model itself on real pictures: measure(pipe, settings, real, batch) -> the figure, and how."""

    measure: Callable[[Pipe, SampleSettings, Pictures, int], tuple[Figure, str]]
    default: bool = False


def resampled(measure: Callable[..., np.ndarray]) -> Callable[[FeatureSets], Figure]:
    """The statistic of measure(generated, real, weights=(B, N)) -> (B,) on pooled features, with bootstrap interval."""

    def statistic(sets: FeatureSets) -> Figure:
        return bootstrapped(measure(sets.generated[POOL], sets.real[POOL], weights=sets.weights), len(sets))

    return statistic


METRICS: Registry[Metric] = Registry("metric", "sfumato.evaluate.metrics", ordered=True)


def chosen_metrics(names: list[str], extractors: list[Extractor], paired: bool, smallest: int) -> list[str]:
    """The names to measure: those that are asked for, or else every default that features and pictures allow.

    paired: whether both sets are pairs. smallest: the shortest side of a picture. Raises BadInput for an unknown name.
    """
    if names:
        return [METRICS.full(name) for name in dict.fromkeys(names) if METRICS[name]]

    def usual(metric: Metric) -> bool:
        match metric:
            case PairMetric():
                return paired and smallest >= metric.smallest
            case FeatureMetric():
                return any(extract.name.startswith(metric.family) for extract in extractors)
        return True

    return [name for name, metric in METRICS.items() if metric.default and usual(metric)]
