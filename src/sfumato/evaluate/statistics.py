"""Figures with their uncertainty: 95 % intervals of shares and of means, and the resamples that show it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

Z95 = 1.959963984540054
ENTRIES = 1 << 23  # float64 entries of the largest temporary matrix: 64 MiB


@dataclass(frozen=True)
class Figure:
    """A figure between `low` and `high` (95 %), from `total` observations; NaN where an interval is not known."""

    value: float
    low: float
    high: float
    total: int

    def to_dict(self) -> dict[str, float | int | None]:
        """For JSON, where NaN does not exist: nothing was observed, nothing is said."""
        if not self.total:
            return {"value": None, "low": None, "high": None, "total": 0}
        low, high = (None if math.isnan(x) else x for x in (self.low, self.high))
        return {"value": self.value, "low": low, "high": high, "total": self.total}

    def percent(self) -> str:
        """In percent, with the interval where one is known."""
        if not self.total:
            return "-"
        between = "" if math.isnan(self.low) else f" ({100 * self.low:.0f} to {100 * self.high:.0f})"
        return f"{100 * self.value:.1f}{between}"


def share(right: Sequence[bool] | np.ndarray) -> Figure:
    """The share of independent trials that came out right, with its Wilson score interval (Wilson 1927, eq. 1-4):

        (p + z^2/2n +- z sqrt(p (1 - p)/n + z^2/4n^2)) / (1 + z^2/n),      z = 1.96

    which stays inside [0, 1] and keeps its coverage at p near 0 and 1.
    """
    n = len(right)
    if n == 0:
        return Figure(math.nan, 0.0, 1.0, 0)
    interval = binomtest(int(np.sum(right)), n).proportion_ci(0.95, method="wilson")
    return Figure(float(np.mean(right)), float(interval.low), float(interval.high), n)


def pooled(rows: Sequence[Sequence[bool]], resamples: int = 2000, seed: int = 0) -> Figure:
    """The share of right trials over all rows, where the trials of one row depend on each other (the attributes of
    one picture): a percentile bootstrap that draws whole rows (Efron and Tibshirani 1993, section 13.3). One row alone
    says nothing of how rows vary: its interval is not known, NaN."""
    right, total = np.array([sum(row) for row in rows]), np.array([len(row) for row in rows])
    if not total.sum():
        return Figure(math.nan, 0.0, 1.0, 0)
    value = float(right.sum() / total.sum())
    if len(rows) == 1:
        return Figure(value, math.nan, math.nan, int(total.sum()))
    drawn = np.random.default_rng(seed).integers(0, len(rows), (resamples, len(rows)))
    totals = total[drawn].sum(1)
    shares = right[drawn].sum(1)[totals > 0] / totals[totals > 0]
    low, high = np.quantile(shares, (0.025, 0.975))
    return Figure(value, float(low), float(high), int(total.sum()))


def mean(values: Sequence[float] | np.ndarray) -> Figure:
    """A mean with its normal interval, value +- z std/sqrt(n); that of one value is not known, NaN."""
    n = len(values)
    if n == 0:
        return Figure(math.nan, math.nan, math.nan, 0)
    centre = float(np.mean(values))
    spread = Z95 * float(np.std(values, ddof=1)) / math.sqrt(n) if n > 1 else math.nan
    return Figure(centre, centre - spread, centre + spread, n)


def bootstrapped(values: Sequence[float] | np.ndarray, total: int) -> Figure:
    """A figure, the first of `values`, with the normal bootstrap interval of its resamples, the others:

        value +- z std(resamples)                                        (Efron and Tibshirani 1993, section 13.2)

    Distances of sets are biased: a resample has fewer different rows, so it lies farther away. The interval is laid
    about the figure itself, so it says how much other pictures of the same number would change it, not how far it is
    from that of infinitely many. Without resamples there is no interval: low and high are NaN.
    """
    spread = Z95 * float(np.std(values[1:], ddof=1)) if len(values) > 2 else math.nan
    value = float(values[0])
    return Figure(value, value - spread, value + spread, total)


def over_subjects(top: Sequence[float], bottom: Sequence[float] | None = None, resamples: int = 2000) -> Figure:
    """A mean over subjects, or the ratio of two means over the same ones, with a percentile bootstrap that draws whole
    subjects (Efron and Tibshirani 1993, section 13.3). The interval of one subject alone is not known, NaN."""
    n = len(top)
    if n == 0:
        return Figure(math.nan, math.nan, math.nan, 0)
    counts = resamplings(n, resamples)
    below = counts @ (np.ones(n) if bottom is None else np.asarray(bottom, np.float64))
    values = counts @ np.asarray(top, np.float64) / np.where(below == 0, math.nan, below)
    low, high = np.nanquantile(values[1:], (0.025, 0.975)) if n > 1 else (math.nan, math.nan)
    return Figure(float(values[0]), float(low), float(high), n)


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
