"""How far surfaces are turned away: the mean angle of normals (Fouhey et al. 2013)."""

from __future__ import annotations

import numpy as np

from sfumato.evaluate.map_metric import MAP_METRICS, MapMetric, once


def normal_angle(found: np.ndarray, truth: np.ndarray) -> float:
    """The mean over pixels of arccos(n . n*) in degrees. found, truth: unit vectors (H, W, 3)."""
    return float(np.degrees(np.arccos(np.clip((found * truth).sum(-1), -1, 1))).mean())


MAP_METRICS.add(
    "normal-angle",
    MapMetric(
        title="angle of normals in degrees",
        better="lower",
        source="Fouhey et al. 2013",
        within=(0, 180),
        of="normals",
        count=lambda found, truth: once(normal_angle(found, truth)),
    ),
)
