"""How much of what a picture is of is in another: the share of attributes of the built-in world that are the same."""

from __future__ import annotations

import numpy as np

from sfumato.data.vignettes import ATTRIBUTES
from sfumato.evaluate.map_metric import MAP_METRICS, MapMetric
from sfumato.evaluate.questions import NONE


def same_attributes(found: np.ndarray, truth: np.ndarray, names: tuple[str, ...] = tuple(ATTRIBUTES)) -> np.ndarray:
    """(right, all) of the attributes `names` that the truth has. found, truth: the value of each of `ATTRIBUTES`."""
    there = np.array([name in names for name in ATTRIBUTES]) & (truth != NONE)
    return np.array([(found == truth)[there].sum(), there.sum()], float)


def _metric(title: str, *names: str) -> MapMetric:
    return MapMetric(
        title=title,
        better="higher",
        source="the judge of vignettes",
        within=(0, 1),
        of="attributes",
        count=lambda found, truth: same_attributes(found, truth, names or tuple(ATTRIBUTES)),
    )


MAP_METRICS.add("attributes", _metric("attributes that are the picture's"))
for _name in ATTRIBUTES:
    MAP_METRICS.add(f"attribute-{_name}", _metric(f"its {_name}", _name))
