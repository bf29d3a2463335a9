"""The Frechet distance against closed forms, and streamed moments against numpy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from sfumato.evaluate import statistics as r
from sfumato.evaluate.metrics import Moments, frechet


def gaussian(rng, rows: int, mean, root) -> np.ndarray:
    return rng.standard_normal((rows, len(mean))) @ np.asarray(root).T + mean


def exactly(mean, covariance, count: int = 1000) -> Moments:
    return Moments(count, np.asarray(mean, float), np.asarray(covariance, float) * (count - 1))


def test_gaussians_with_known_moments_have_the_closed_form():
    """Diagonal covariances: |m_a - m_b|^2 + sum (s_a - s_b)^2."""
    a, b = exactly([0, 1, 2], np.diag([1.0, 4, 9])), exactly([1, 1, 0], np.diag([4.0, 1, 0]))
    assert frechet(a, b) == pytest.approx((1 + 4) + (1 + 1 + 9), rel=1e-12)
    assert frechet(a, b) == pytest.approx(frechet(b, a), rel=1e-12)
    assert frechet(a, a) == pytest.approx(0, abs=1e-12)


def test_two_dimensions_have_a_closed_form_of_their_own():
    """tr (AB)^(1/2) = sqrt(tr AB + 2 sqrt(det AB)) for 2 x 2 matrices."""
    a, b = np.array([[2.0, 0.7], [0.7, 1.0]]), np.array([[1.0, -0.4], [-0.4, 3.0]])
    together = np.sqrt(np.trace(a @ b) + 2 * np.sqrt(np.linalg.det(a @ b)))
    want = 9 + 16 + np.trace(a) + np.trace(b) - 2 * together
    assert frechet(exactly([3, 0], a), exactly([0, 4], b)) == pytest.approx(want, rel=1e-12)


def test_samples_of_two_gaussians_come_within_one_percent():
    rng = np.random.default_rng(0)
    x = gaussian(rng, 60_000, [0, 0, 0], np.diag([1.0, 2, 3]))
    y = gaussian(rng, 60_000, [2, 0, 1], np.diag([2.0, 2, 1]))
    assert frechet(Moments.of(x), Moments.of(y)) == pytest.approx(5 + 1 + 4, rel=0.01)


def test_it_is_the_formula_of_torch_fidelity_and_clean_fid_on_the_same_features():
    """|gap|^2 + tr S_a + tr S_b - 2 tr sqrtm(S_a S_b) with numpy's mean and covariance, as both compute it."""
    rng = np.random.default_rng(1)
    x = np.maximum(gaussian(rng, 500, np.zeros(24), rng.standard_normal((24, 24))), 0).astype(np.float32)
    y = np.maximum(gaussian(rng, 700, np.ones(24) / 5, rng.standard_normal((24, 24))), 0).astype(np.float32)
    gap = x.astype(float).mean(0) - y.astype(float).mean(0)
    a, b = np.cov(x.astype(float), rowvar=False), np.cov(y.astype(float), rowvar=False)
    want = gap @ gap + np.trace(a) + np.trace(b) - 2 * np.trace(np.real(sqrtm(a @ b)))
    assert frechet(Moments.of(x), Moments.of(y)) == pytest.approx(want, rel=1e-9)


def test_fewer_rows_than_dimensions_are_no_trouble():
    """The trace of the root is the nuclear norm of the product of the centred data."""
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((9, 40)), rng.standard_normal((12, 40)) + 1
    cx, cy = (z - z.mean(0) for z in (x, y))
    together = np.linalg.norm(cx @ cy.T, "nuc") / np.sqrt(8 * 11)
    gap = x.mean(0) - y.mean(0)
    want = gap @ gap + (cx**2).sum() / 8 + (cy**2).sum() / 11 - 2 * together
    assert frechet(Moments.of(x), Moments.of(y)) == pytest.approx(want, rel=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 40), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_moments_add_up_whatever_the_chunks(rows, dimensions, seed):
    rng = np.random.default_rng(seed)
    x = 1e3 + rng.standard_normal((rows, dimensions)) * rng.uniform(0.1, 5, dimensions)
    cut = rng.integers(1, rows)
    both = Moments.of(x[:cut]) + Moments.of(x[cut:])
    whole = Moments.of(x)
    for found in (both, whole):
        np.testing.assert_allclose(found.mean, x.mean(0), rtol=1e-12)
        np.testing.assert_allclose(found.covariance, np.cov(x, rowvar=False).reshape(whole.scatter.shape), atol=1e-8)


def test_rows_are_read_in_chunks(monkeypatch):
    x = np.random.default_rng(3).standard_normal((50, 3))
    whole = Moments.of(x)
    monkeypatch.setattr(r, "ENTRIES", 12)
    assert [part.stop - part.start for part, _ in r.in_chunks(x, 3)][:2] == [4, 4]
    np.testing.assert_allclose(Moments.of(x).scatter, whole.scatter, rtol=1e-12)


def test_weights_count_rows():
    x = np.random.default_rng(4).standard_normal((6, 2))
    w = np.array([2.0, 0, 1, 3, 0, 1])
    repeated = Moments.of(np.repeat(x, w.astype(int), axis=0))
    weighted = Moments.of(x, w)
    assert weighted.count == repeated.count == 7
    np.testing.assert_allclose(weighted.covariance, repeated.covariance, rtol=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_turning_and_moving_both_sets_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((30, 4)), rng.standard_normal((20, 4)) * 2 + 1
    turn, _ = np.linalg.qr(rng.standard_normal((4, 4)))
    move, scale = rng.standard_normal(4), rng.uniform(0.5, 2)
    before = frechet(Moments.of(x), Moments.of(y))
    after = frechet(Moments.of(scale * x @ turn + move), Moments.of(scale * y @ turn + move))
    assert after == pytest.approx(scale**2 * before, rel=1e-8)
