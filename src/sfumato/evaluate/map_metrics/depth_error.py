"""How far depth is off, whatever its scale and shift: Ranftl et al. 2020, section 5."""

from __future__ import annotations

import numpy as np

from sfumato.evaluate.map_metric import MAP_METRICS, MapMetric, once


def depth_error(found: np.ndarray, truth: np.ndarray) -> float:
    """sum |a d + b - d*| / sum |d* - mean d*|, with a and b by least squares (Ranftl et al., eq. 3 and 4): 0 is right,
    1 about what a flat guess has. found d, truth d*: (H, W), inverse depth each. NaN where the truth is flat."""
    d, true = found.ravel().astype(np.float64), truth.ravel().astype(np.float64)
    centred, wanted = d - d.mean(), true - true.mean()
    if not (whole := np.abs(wanted).sum()):
        return float("nan")
    power = (centred**2).sum()
    scale = (centred * wanted).sum() / power if power else 0.0
    return float(np.abs(scale * centred - wanted).sum() / whole)


MAP_METRICS.add(
    "depth-error",
    MapMetric(
        title="relative error of depth",
        better="lower",
        source="Ranftl et al. 2020",
        within=(0, float("inf")),
        of="depth",
        count=lambda found, truth: once(depth_error(found, truth)),
    ),
)
