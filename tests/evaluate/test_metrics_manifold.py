"""Precision, recall, density and coverage on sets that are small enough to count by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfumato.evaluate import statistics as r
from sfumato.evaluate.metrics import coverage, density, precision, recall
from sfumato.evaluate.metrics.manifold import coverage_of_equals, radii


def line(*at) -> np.ndarray:
    """Points on a line, in two dimensions."""
    return np.stack([np.array(at, float), np.zeros(len(at))], 1)


TRUE = line(0, 1, 3, 6, 10)  # nearest others at 1, 1, 2, 3, 4; second nearest at 3, 2, 3, 4, 7
MADE = line(0.5, 8, 20)  # nearest others at 7.5, 7.5, 12


def test_radii_leave_a_row_itself_out():
    np.testing.assert_allclose(np.sqrt(radii(TRUE, 1)), [1, 1, 2, 3, 4])
    np.testing.assert_allclose(np.sqrt(radii(TRUE, 2)), [3, 2, 3, 5, 7] - np.array([0, 0, 0, 1, 0]))
    np.testing.assert_allclose(np.sqrt(radii(TRUE, 99)), [10, 9, 7, 6, 10])


def test_counted_by_hand():
    """With k = 1 the balls of TRUE are [-1, 1], [0, 2], [1, 5], [3, 9], [6, 14]; of MADE [-7, 8], [0.5, 15.5], [8, 32].

    0.5 lies in two of them, 8 in two, 20 in none. 0, 1, 3, 6, 10 all lie in a ball of MADE. The balls at 0, 1, 6 and
    10 hold a made point, the one at 3 none.
    """
    assert precision(MADE, TRUE, k=1) == pytest.approx([2 / 3])
    assert recall(MADE, TRUE, k=1) == pytest.approx([1])
    assert density(MADE, TRUE, k=1) == pytest.approx([4 / 3])
    assert coverage(MADE, TRUE, k=1) == pytest.approx([4 / 5])


def test_a_lost_mode_costs_recall_and_coverage_a_strange_one_costs_precision_and_density():
    rng = np.random.default_rng(0)
    two = np.concatenate([rng.standard_normal((50, 4)), rng.standard_normal((50, 4)) + 100])
    one, strange = two[:50] + 1e-9, two + np.array([0, 1000, 0, 0]) * (np.arange(100) >= 50)[:, None]
    assert (precision(one, two), recall(one, two), coverage(one, two)) == (1, 0.5, 0.5)
    assert (precision(strange, two), recall(strange, two), coverage(strange, two)) == (0.5, 0.5, 0.5)
    assert density(strange, two)[0] == pytest.approx(density(one, two)[0] / 2)


def test_a_set_against_itself():
    x = np.random.default_rng(1).standard_normal((40, 8)).astype(np.float32)
    x[5:12] = x[4]  # more duplicates than neighbours: balls without extent
    assert precision(x, x) == recall(x, x) == coverage(x, x) == 1
    assert density(x, x)[0] >= 1


def test_equal_distributions_have_density_one_and_coverage_one_minus_two_to_the_minus_k():
    """Naeem et al. 2020, lemmas 1 and 2."""
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((1500, 6)), rng.standard_normal((1500, 6))
    assert density(x, y)[0] == pytest.approx(1, abs=0.06)
    assert coverage(x, y, k=3)[0] == pytest.approx(1 - 2**-3, abs=0.03)
    assert coverage_of_equals(10**6, 10**6, k=3) == pytest.approx(1 - 2**-3, abs=1e-5)
    few = [coverage(rng.standard_normal((9, 2)), rng.standard_normal((30, 2)), k=2)[0] for _ in range(400)]
    assert np.mean(few) == pytest.approx(coverage_of_equals(9, 30, k=2), abs=4 * np.std(few) / 20)


@pytest.mark.parametrize("measure", [precision, recall, density, coverage])
def test_chunks_change_nothing(measure, monkeypatch):
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((23, 3)), rng.standard_normal((31, 3))
    w = rng.integers(0, 3, (4, 23)).astype(float)
    whole = measure(x, y, weights=w)
    monkeypatch.setattr(r, "ENTRIES", 100)
    np.testing.assert_array_equal(measure(x, y, weights=w), whole)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_moving_turning_and_stretching_both_sets_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((15, 3)), rng.standard_normal((17, 3))
    turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    a, b = 3 * x @ turn + 5, 3 * y @ turn + 5
    for measure in (precision, recall, density, coverage):
        assert measure(a, b) == pytest.approx(measure(x, y))
    assert precision(x, y) == recall(y, x), "one is the other with the sets exchanged"


def test_weights_count_rows():
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal((9, 3)), rng.standard_normal((12, 3))
    w = np.array([[2.0, 0, 1, 3, 0, 1, 1, 1, 0]])
    repeated = np.repeat(x, w[0].astype(int), axis=0)
    for measure in (precision, density, coverage):
        assert measure(x, y, weights=w) == pytest.approx(measure(repeated, y))
    assert recall(x, y, weights=w) <= recall(x, y)
