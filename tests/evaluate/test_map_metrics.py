"""Metrics of maps against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from sfumato.data.vignettes import ATTRIBUTES
from sfumato.evaluate.map_metric import MAP_METRICS, metrics_of
from sfumato.evaluate.map_metrics import depth_error, depth_rank, edge_counts, edge_f1, normal_angle, pck_counts

LINE = np.zeros((20, 20))
LINE[:, 10] = 1


@pytest.mark.parametrize(("shift", "one", "two"), [(0, 1, 1), (1, 1, 1), (2, 0, 1), (3, 0, 0)])
def test_a_line_that_is_moved_counts_as_far_as_the_tolerance(shift: int, one: float, two: float):
    moved = np.roll(LINE, shift, 1)
    assert edge_f1(edge_counts(moved, LINE, 1.0)) == one
    assert edge_f1(edge_counts(moved, LINE, 2.0)) == two


def test_edges_by_precision_and_recall():
    half = LINE.copy()
    half[10:] = 0
    counts = edge_counts(half, LINE, 1.0)
    assert counts.tolist() == [10, 10, 11, 20]  # the row below the last found one is near it
    assert edge_f1(counts) == pytest.approx(2 * 1 * (11 / 20) / (1 + 11 / 20))
    nothing = np.zeros_like(LINE)
    assert edge_f1(edge_counts(nothing, LINE)) == edge_f1(edge_counts(LINE, nothing)) == 0
    assert edge_f1(edge_counts(nothing, nothing)) == 1
    diagonal = np.zeros_like(LINE)
    diagonal[4, 5] = 1
    assert edge_f1(edge_counts(np.roll(diagonal, (1, 1), (0, 1)), diagonal, 1.0)) == 1


def test_depth_by_rank_and_by_error():
    rng = np.random.default_rng(0)
    truth = rng.random((8, 9))
    assert depth_rank(np.exp(3 * truth), truth) == pytest.approx(1)
    assert depth_rank(-truth, truth) == pytest.approx(-1)
    assert depth_error(5 - 2 * truth, truth) == pytest.approx(0, abs=1e-12)  # whatever scale, sign and shift
    flat = np.full_like(truth, 3.0)
    assert depth_error(flat, truth) == pytest.approx(1)
    assert depth_rank(flat, truth) == 0
    assert np.isnan(depth_rank(truth, flat))
    assert np.isnan(depth_error(truth, flat))
    from scipy.stats import spearmanr

    other = np.round(rng.random((8, 9)), 1)  # with ties
    assert depth_rank(other, truth) == pytest.approx(spearmanr(other.ravel(), truth.ravel()).statistic)
    a, b = np.polyfit(other.ravel(), truth.ravel(), 1)
    wanted = np.abs(a * other + b - truth).sum() / np.abs(truth - truth.mean()).sum()
    assert depth_error(other, truth) == pytest.approx(wanted)


def test_normals_by_their_angle():
    front = np.zeros((4, 4, 3))
    front[..., 2] = 1
    turned = front.copy()
    turned[:2] = (np.sin(np.radians(30)), 0, np.cos(np.radians(30)))
    assert normal_angle(front, front) == 0
    assert normal_angle(turned, front) == pytest.approx(15)


def test_joints_within_a_tenth_of_the_figure():
    truth = np.array([(0, 0, 1), (0, 100, 1), (20, 50, 1), (0, 0, 0)], float)
    found = truth + np.array([(9, 0, 0), (0, 11, 0), (0, 0, 0), (0, 0, 0)])
    assert pck_counts(found, truth).tolist() == [2, 3]
    found[2, 2] = 0  # not found, though its place is written there
    assert pck_counts(found, truth).tolist() == [1, 3]
    assert pck_counts(truth, np.zeros((4, 3))).tolist() == [0, 0]


def test_classes_by_intersection_over_union_of_all_pictures():
    truth, found = np.zeros((4, 4), int), np.zeros((4, 4), int)
    truth[:, 2:], found[:, 3:] = 1, 1
    metric = MAP_METRICS["miou"]
    assert metric.value(metric.count(found, truth)) == pytest.approx((8 / 12 + 4 / 8) / 2)
    other = np.full((4, 4), 2)
    sums = metric.count(found, truth) + metric.count(other, other)
    assert metric.value(sums) == pytest.approx((8 / 12 + 4 / 8 + 1) / 3)


def test_a_figure_is_of_the_sums_and_its_interval_of_resampled_pictures():
    metric = MAP_METRICS["pck"]
    counts = [np.array([9.0, 10.0]), np.array([0.0, 1.0]), np.zeros(2)]
    figure = metric.figure(counts)
    assert figure.value == pytest.approx(9 / 11)
    assert figure.total == 3
    assert 0 <= figure.low < figure.value < figure.high <= 1
    assert np.isnan(metric.figure([np.zeros(2)]).value)


def test_every_metric_is_right_where_the_map_is_the_truth():
    rng = np.random.default_rng(1)
    normals = rng.standard_normal((6, 6, 3))
    truths = {
        "edges": (rng.random((6, 6)) > 0.7).astype(float),
        "depth": rng.random((6, 6)),
        "normals": normals / np.linalg.norm(normals, axis=-1, keepdims=True),
        "joints": np.concatenate([rng.random((18, 2)) * 9, np.ones((18, 1))], 1),
        "classes": rng.integers(0, 5, (6, 6)),
        "attributes": np.array([f"value {i}" for i in range(len(ATTRIBUTES))]),
    }
    tried = set()
    for shows, truth in truths.items():
        for name, metric in metrics_of(shows).items():
            best = 1 if metric.better == "higher" else 0
            assert metric.value(metric.count(truth, truth)) == pytest.approx(best, abs=1e-5), name
            tried.add(name)
    assert tried == set(MAP_METRICS)
