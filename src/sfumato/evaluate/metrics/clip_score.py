"""The CLIP score: how well pictures and words fit, as CLIP sees it."""

from __future__ import annotations

import numpy as np

from sfumato.evaluate.metrics.kernel import unit


def cosines(pictures: np.ndarray, words: np.ndarray) -> np.ndarray:
    """The cosine of each picture's embedding with its words' embedding, (N,)."""
    return (unit(pictures) * unit(words)).sum(1)


def clip_score(cosine: np.ndarray) -> np.ndarray:
    """100 max(cos, 0) of each pair, (N,) (Hessel et al. 2021, eq. 1, with the weight 100 that tables print instead of
    the paper's 2.5)."""
    return 100 * np.maximum(cosine, 0)
