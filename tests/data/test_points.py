"""Points: functions of (kind, seed, index), of unit variance, with the labels that they say."""

from __future__ import annotations

import numpy as np
import pytest

from sfumato.data import toy_points as points
from sfumato.picture import BadInput

KINDS = list(points.KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_point_is_a_function_of_seed_and_index(kind):
    many, labels = points.draw(kind, 7, 50)
    few, fewer = points.draw(kind, 7, 11, first=20)
    assert np.array_equal(few, many[20:31])
    assert np.array_equal(fewer, labels[20:31])
    assert not np.array_equal(points.draw(kind, 8, 50)[0], many)
    assert len(np.unique(many, axis=0)) == 50


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_centred_with_unit_variance_and_equal_classes(kind):
    drawn, labels = points.draw(kind, 0, 40_000)
    assert drawn.dtype == np.float32
    assert np.abs(drawn.mean(0)).max() < 0.03
    assert drawn.var(0).mean() == pytest.approx(1, abs=0.03)
    share = np.bincount(labels, minlength=points.KINDS[kind].classes) / len(labels)
    np.testing.assert_allclose(share, 1 / points.KINDS[kind].classes, atol=0.01)


def test_ring_is_eight_gaussians_in_their_places():
    drawn, labels = points.draw("ring", 0, 40_000)
    for label, centre in enumerate(points.ring_centres()):
        mine = drawn[labels == label]
        np.testing.assert_allclose(mine.mean(0), centre, atol=0.01)
        np.testing.assert_allclose(mine.std(0), points.RING_SPREAD, atol=0.005)


def test_checkerboard_fills_the_dark_squares_alone():
    drawn, labels = points.draw("checkerboard", 0, 5000)
    square = np.floor(drawn * points.KINDS["checkerboard"].scale + 2).astype(int)
    assert set(square.sum(1) % 2) == {0}
    assert len(np.unique(square, axis=0)) == 8
    assert all(len(np.unique(square[labels == k], axis=0)) == 1 for k in range(8))


def test_swiss_roll_s_labels_go_outwards():
    drawn, labels = points.draw("swiss-roll", 0, 5000)
    middle = -np.array([2.0, 2 / (3 * np.pi)]) / points.KINDS["swiss-roll"].scale
    radius = np.hypot(*(drawn - middle).T)
    assert np.all(np.diff([radius[labels == k].mean() for k in range(4)]) > 0.2)


def test_an_unknown_kind_is_refused_by_name():
    with pytest.raises(BadInput, match="'spiral': choose one of swiss-roll, two-moons"):
        points.draw("spiral", 0, 3)
