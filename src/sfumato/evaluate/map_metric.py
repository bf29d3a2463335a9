"""What a metric of maps is: how near a map that was read in a picture is to the one that the picture was to obey.

One file a metric, in `sfumato.evaluate.map_metrics`. Each says which maps it is of (`ControlMap.shows`), what it counts
in one picture, and what figure the sums over pictures make, so that a figure's interval is a bootstrap over pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sfumato.element import Registry
from sfumato.evaluate.metric import Metric
from sfumato.evaluate.statistics import Figure, bootstrapped, resamplings


def first_over_second(sums: np.ndarray) -> float:
    """sums[0] / sums[1]: of counts (value, 1) the mean, of counts (right, all) the share. NaN of nothing."""
    return float(sums[0] / sums[1]) if sums[1] else float("nan")


def once(value: float) -> np.ndarray:
    """The count of a figure that a picture has by itself; of NaN, which says that it has none, nothing."""
    return np.array([0.0, 0.0]) if np.isnan(value) else np.array([value, 1.0])


@dataclass(frozen=True, kw_only=True)
class MapMetric(Metric):
    """of: the maps that it compares, as `ControlMap.shows` says. count(found, truth): of one picture, an array of the
    same length for all. value(sums): the figure of the counts summed over pictures."""

    of: str
    count: Callable[[np.ndarray, np.ndarray], np.ndarray]
    value: Callable[[np.ndarray], float] = first_over_second
    default: bool = False

    def figure(self, counts: Sequence[np.ndarray], resamples: int = 200) -> Figure:
        """The figure of pictures, and its interval by bootstrap over them (Efron and Tibshirani 1993, 13.2)."""
        rows = np.stack(counts).reshape(len(counts), -1)
        shape = np.shape(counts[0])
        sums = resamplings(len(rows), resamples) @ rows
        values = [self.value(each.reshape(shape)) for each in sums]
        return self.bounded(bootstrapped([v for v in values if v == v] or values[:1], len(rows)))


MAP_METRICS: Registry[MapMetric] = Registry("metric of maps", "sfumato.evaluate.map_metrics", ordered=True)


def metrics_of(shows: str) -> dict[str, MapMetric]:
    """The metrics of maps of that kind, by name."""
    return {name: metric for name, metric in MAP_METRICS.items() if metric.of == shows}
