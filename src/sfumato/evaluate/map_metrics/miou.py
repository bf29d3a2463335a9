"""Mean intersection over union of classes (Everingham et al. 2010)."""

from __future__ import annotations

import numpy as np

from sfumato.evaluate.map_metric import MAP_METRICS, MapMetric

MOST = 256  # classes


def class_counts(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(MOST, 2): of each class the pixels that are it in both maps, and in either. found, truth: (H, W) below 256."""
    found, truth = found.ravel(), truth.ravel()
    both = np.bincount(found[found == truth], minlength=MOST)
    either = np.bincount(found, minlength=MOST) + np.bincount(truth, minlength=MOST) - both
    return np.stack([both, either], -1).astype(float)


def miou(sums: np.ndarray) -> float:
    """The mean of both / either over the classes that occur, in the sums over all pictures."""
    there = sums[:, 1] > 0
    return float((sums[there, 0] / sums[there, 1]).mean()) if there.any() else float("nan")


MAP_METRICS.add(
    "miou",
    MapMetric(
        title="mean intersection over union",
        better="higher",
        source="Everingham et al. 2010",
        within=(0, 1),
        of="classes",
        count=class_counts,
        value=miou,
    ),
)
