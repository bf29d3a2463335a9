"""The share of joints that are near their place: PCK (Yang and Ramanan 2013)."""

from __future__ import annotations

import numpy as np

from sfumato.evaluate.map_metric import MAP_METRICS, MapMetric

ALPHA = 0.1


def pck_counts(found: np.ndarray, truth: np.ndarray, alpha: float = ALPHA) -> np.ndarray:
    """(true joints that were found within alpha times the longer side of the box of the true joints, true joints).

    found, truth: (J, 3), x, y and 1 or 0 for there or not. A joint that was not found is wrong.
    """
    there = truth[:, 2] > 0
    if not there.any():
        return np.zeros(2)
    places = truth[there, :2]
    reach = alpha * (places.max(0) - places.min(0)).max()
    near = np.linalg.norm(found[there, :2] - places, axis=1) <= reach
    return np.array([(near & (found[there, 2] > 0)).sum(), there.sum()], float)


MAP_METRICS.add(
    "pck",
    MapMetric(
        title="joints in place (PCK@0.1)",
        better="higher",
        source="Yang and Ramanan 2013",
        within=(0, 1),
        of="joints",
        count=pck_counts,
    ),
)
