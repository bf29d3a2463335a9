"""Whether near things are near: Spearman's rank correlation of depth (Spearman 1904)."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from sfumato.evaluate.map_metric import MAP_METRICS, MapMetric, once


def depth_rank(found: np.ndarray, truth: np.ndarray) -> float:
    """Pearson's correlation of the ranks of all pixels, ties at their mean rank: 1 for any rising function of the
    truth. found, truth: (H, W). NaN where the truth is flat; 0 where what was found is."""
    ranks, true = rankdata(found) - (found.size + 1) / 2, rankdata(truth) - (truth.size + 1) / 2
    spread = float(np.sqrt((ranks**2).sum() * (true**2).sum()))
    if not (true**2).sum():
        return float("nan")
    return float((ranks * true).sum()) / spread if spread else 0.0


MAP_METRICS.add(
    "depth-rank",
    MapMetric(
        title="rank correlation of depth",
        better="higher",
        source="Spearman 1904",
        within=(-1, 1),
        of="depth",
        count=lambda found, truth: once(depth_rank(found, truth)),
    ),
)
