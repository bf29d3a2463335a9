from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from sfumato.evaluate.statistics import mean, pooled, share


@pytest.mark.parametrize(("right", "total"), [(0, 10), (1, 10), (5, 10), (10, 10), (190, 200), (81, 263)])
def test_wilson_interval_is_that_of_scipy(right: int, total: int):
    figure = share([True] * right + [False] * (total - right))
    reference = stats.binomtest(right, total).proportion_ci(0.95, method="wilson")
    assert figure.value == right / total
    assert (figure.low, figure.high) == pytest.approx((reference.low, reference.high), abs=1e-12)


def test_wilson_interval_covers_the_truth_19_times_in_20():
    """Exactly, by summing the binomial distribution: on average over p, and never far below."""
    n = 50
    intervals = [share([True] * k + [False] * (n - k)) for k in range(n + 1)]
    truths = np.linspace(0.02, 0.98, 97)
    covered = [sum(stats.binom.pmf(k, n, p) for k, i in enumerate(intervals) if i.low <= p <= i.high) for p in truths]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.01)
    assert min(covered) > 0.88


def test_pooled_trials_of_one_picture_are_not_independent():
    """Repeating every trial five times tells nothing new, so the interval must not shrink."""
    rng = np.random.default_rng(0)
    single = [[bool(x)] for x in rng.random(200) < 0.8]
    once, often = pooled(single), pooled([row * 5 for row in single])
    assert often.value == once.value
    assert (often.low, often.high) == (once.low, once.high)
    assert often.total == 5 * once.total
    wilson = share([row[0] for row in single])
    assert (once.low, once.high) == pytest.approx((wilson.low, wilson.high), abs=0.015)


def test_pooled_weighs_every_trial_alike():
    assert pooled([[True, True, True], [False]]).value == 0.75
    assert pooled([[], [True]]).value == 1.0


def test_mean_has_its_normal_interval():
    values = np.random.default_rng(1).normal(30, 2, 400)
    figure = mean(values)
    assert figure.high - figure.value == pytest.approx(1.96 * values.std(ddof=1) / 20, rel=1e-3)
    assert figure.low < 30 < figure.high


def test_nothing_observed_says_nothing():
    for figure in (share([]), pooled([[]]), mean([])):
        assert math.isnan(figure.value)
        assert figure.percent() == "-"
        assert figure.to_dict()["value"] is None
