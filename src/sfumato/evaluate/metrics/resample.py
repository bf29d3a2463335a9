"""Bootstrap weights, and rows in chunks that fit into memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

ENTRIES = 1 << 23  # float64 entries of the largest temporary matrix: 64 MiB


def resamplings(rows: int, resamples: int, seed: int = 0) -> np.ndarray:
    """How often each of `rows` rows is drawn, (1 + resamples, rows): first once each, then with replacement.

    A statistic that takes whole-number weights is so measured on the rows themselves and on their bootstrap resamples
    (Efron and Tibshirani 1993, chapter 6).
    """
    draw = np.random.default_rng(seed)
    counts = draw.multinomial(rows, np.full(rows, 1 / rows), size=resamples)
    return np.concatenate([np.ones((1, rows)), counts.astype(np.float64)])


def in_chunks(x: np.ndarray, width: int) -> Iterator[tuple[slice, np.ndarray]]:
    """The rows of x in float64, so many at a time that a matrix of them by `width` stays below 64 MiB."""
    size = max(1, ENTRIES // max(width, x.shape[1], 1))
    for start in range(0, len(x), size):
        part = slice(start, min(start + size, len(x)))
        yield part, np.asarray(x[part], np.float64)
