from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from sfumato.evaluate.statistics import mean, over_subjects, pooled, share


@pytest.mark.parametrize(("right", "total"), [(0, 10), (1, 10), (5, 10), (10, 10), (190, 200), (81, 263), (1, 1)])
def test_the_interval_of_a_share_is_wilson_s(right: int, total: int):
    """Wilson 1927, eq. 1 to 4, at z = 1.96."""
    figure, z = share([True] * right + [False] * (total - right)), 1.959963984540054
    p = figure.value
    spread = z * math.sqrt(p * (1 - p) / total + z**2 / (4 * total**2))
    ends = [(p + z**2 / (2 * total) + sign * spread) / (1 + z**2 / total) for sign in (-1, 1)]
    assert p == right / total
    assert (figure.low, figure.high) == pytest.approx(ends, abs=1e-12)


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


def test_one_value_says_nothing_of_how_values_vary():
    """Neither a mean of one value nor trials of one picture have an interval, and none is claimed."""
    for figure, value in ((mean([3.0]), 3.0), (pooled([[True, False, True, True]]), 0.75)):
        assert figure.value == value
        assert math.isnan(figure.low)
        assert math.isnan(figure.high)
        assert (figure.to_dict()["low"], figure.to_dict()["high"]) == (None, None)
    assert pooled([[True, False, True, True]]).percent() == "75.0"
    assert not math.isnan(mean([3.0, 3.0]).low)


def test_subjects_are_resampled_whole():
    """A ratio that is the same for every subject has no width; a mean has that of its normal interval."""
    dice = np.random.default_rng(0)
    bottom = dice.uniform(0.2, 0.9, 10)
    same = over_subjects(0.9 * bottom, bottom)
    assert (same.value, same.low, same.high) == pytest.approx((0.9, 0.9, 0.9))
    values = dice.normal(2.0, 0.5, 60)
    one, other = over_subjects(values), mean(values)
    assert one.value == pytest.approx(other.value)
    assert one.high - one.low == pytest.approx(other.high - other.low, rel=0.1)
    assert math.isnan(over_subjects([0.5]).low)
