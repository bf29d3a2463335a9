"""F1 of edges, as boundaries are compared: Martin et al. 2004; Perazzi et al. 2016, section 4."""

from __future__ import annotations

from functools import partial

import numpy as np
from scipy.ndimage import distance_transform_edt

from sfumato.evaluate.map_metric import MAP_METRICS, MapMetric

LEVEL = 0.5  # from which on a pixel is an edge


def edge_counts(found: np.ndarray, truth: np.ndarray, tolerance: float = 1.0) -> np.ndarray:
    """(found edge pixels that are near a true one, found ones, true ones that are near a found one, true ones).

    found, truth: (H, W) in [0, 1]; near: at most `tolerance` pixels away, Euclidean, diagonal neighbours included.
    """
    found, truth = found >= LEVEL, truth >= LEVEL
    return np.array([(found & _near(truth, tolerance)).sum(), found.sum(),
                     (truth & _near(found, tolerance)).sum(), truth.sum()], float)  # fmt: skip


def edge_f1(sums: np.ndarray) -> float:
    """2 P R / (P + R), P and R the shares of the counts; 1 where there is no edge in either, 0 where in one alone."""
    right, found, met, true = sums
    if not found or not true:
        return float(found == true)
    precision, recall = right / found, met / true
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def _near(edges: np.ndarray, tolerance: float) -> np.ndarray:
    """The pixels at most so far from an edge; one of 1 has the diagonal neighbours too, at 1.42."""
    if not edges.any():
        return np.zeros(edges.shape, bool)
    return distance_transform_edt(~edges) < tolerance + 0.5  # type: ignore[operator]


for _name, _tolerance in (("edge-f1", 1.0), ("edge-f1-2", 2.0)):
    MAP_METRICS.add(
        _name,
        MapMetric(
            title=f"F1 of edges within {_tolerance:g} pixel{'s' if _tolerance > 1 else ''}",
            better="higher",
            source="Martin et al. 2004",
            within=(0, 1),
            of="edges",
            count=partial(edge_counts, tolerance=_tolerance),
            value=edge_f1,
        ),
    )
