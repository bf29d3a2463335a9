"""Inception Score, PSNR, SSIM, CLIP score, and what bootstrap intervals promise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sfumato.evaluate.metrics import (
    Moments,
    clip_score,
    cosines,
    frechet,
    inception_score,
    precision,
    psnr,
    resamplings,
    ssim,
)
from sfumato.evaluate.metrics.inception_score import score_of, splits_of
from sfumato.evaluate.metrics.pixel import box_window, gaussian_window
from sfumato.evaluate.statistics import bootstrapped

SURE = 100.0 * np.eye(5)


def test_the_inception_score_of_constructed_logits():
    assert inception_score(np.tile(SURE, (4, 1)))[0] == pytest.approx(5), "sure, and all classes alike"
    assert inception_score(np.tile(SURE[:2], (4, 1)))[0] == pytest.approx(2), "sure, two classes of five"
    assert inception_score(np.tile(SURE[0], (4, 1)))[0] == pytest.approx(1), "one class"
    assert inception_score(np.zeros((4, 5)))[0] == pytest.approx(1), "unsure"
    assert inception_score(np.concatenate([SURE[[0] * 4], SURE[[1] * 4]]), splits=2) == pytest.approx([1, 1])
    half = np.log([[0.75, 0.25], [0.25, 0.75]])
    assert inception_score(half)[0] == pytest.approx(np.exp(0.75 * np.log(1.5) + 0.25 * np.log(0.5)))
    assert [splits_of(n) for n in (10, 9_999, 50_000)] == [1, 1, 10]


def test_the_inception_score_as_torch_fidelity_computes_it():
    logits = 3 * np.random.default_rng(0).standard_normal((103, 7))
    x = torch.from_numpy(logits[np.random.RandomState(2020).permutation(103)])
    p, log_p, want = x.softmax(1), x.log_softmax(1), []
    for i in range(10):
        part = slice(i * 103 // 10, (i + 1) * 103 // 10)
        want.append(float((p[part] * (log_p[part] - p[part].mean(0).log())).sum(1).mean().exp()))
    np.testing.assert_allclose(inception_score(logits, splits=10, seed=2020), want, rtol=1e-9)


def test_weights_of_the_inception_score_count_rows():
    logits = np.random.default_rng(1).standard_normal((6, 4))
    w = np.array([1.0, 0, 2, 3, 0, 1])
    assert score_of(logits, w) == pytest.approx(score_of(np.repeat(logits, w.astype(int), axis=0)))


def test_psnr():
    x = torch.zeros(2, 3, 4, 4)
    y = x.clone()
    y[1] += 0.2
    assert psnr(x, y).tolist() == pytest.approx([120, 20])


def slow_ssim(x: np.ndarray, y: np.ndarray, window: np.ndarray) -> float:
    """Wang et al. 2004, eq. 13, window by window, of one channel in [0, 1]."""
    side, found = len(window), []
    for i in range(x.shape[0] - side + 1):
        for j in range(x.shape[1] - side + 1):
            a, b = x[i : i + side, j : j + side], y[i : i + side, j : j + side]
            ma, mb = (window * a).sum(), (window * b).sum()
            va, vb = (window * (a - ma) ** 2).sum(), (window * (b - mb) ** 2).sum()
            cov = (window * (a - ma) * (b - mb)).sum()
            c1, c2 = 0.01**2, 0.03**2
            found.append((2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2)))
    return float(np.mean(found))


def test_ssim_is_its_definition():
    rng = np.random.default_rng(2)
    x = rng.uniform(-1, 1, (16, 14))
    y = np.clip(x + 0.3 * rng.standard_normal(x.shape), -1, 1)
    at = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    gaussian = np.outer(at, at) / at.sum() ** 2
    a, b = (torch.from_numpy(z)[None, None] for z in (x, y))
    for window, local in ((gaussian, gaussian_window), (np.full((7, 7), 1 / 49), box_window)):
        assert float(ssim(a, b, local)) == pytest.approx(slow_ssim((x + 1) / 2, (y + 1) / 2, window), rel=1e-9)
    assert float(ssim(a, a)) == pytest.approx(1)
    assert float(ssim(a, -a)) < 0


def test_ssim_of_colours_is_the_mean_over_channels():
    x, y = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16)
    each = torch.stack([ssim(x[:, c : c + 1], y[:, c : c + 1]) for c in range(3)]).mean(0)
    assert torch.allclose(ssim(x, y), each, atol=1e-5)
    assert torch.allclose(ssim(x, y)[1:], ssim(x[1:], y[1:]), atol=1e-6)


def test_the_clip_score():
    pictures, words = np.array([[1.0, 0], [0, 3], [1, 1]]), np.array([[2.0, 0], [0, -1], [0, 5]])
    assert cosines(pictures, words) == pytest.approx([1, -1, np.sqrt(0.5)])
    assert clip_score(cosines(pictures, words)) == pytest.approx([100, 0, 100 * np.sqrt(0.5)])


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 50), st.integers(0, 20), st.integers(0, 2**32 - 1))
def test_resamplings_count_as_many_rows_as_there_are(rows, resamples, seed):
    w = resamplings(rows, resamples, seed)
    assert w.shape == (1 + resamples, rows)
    assert (w[0] == 1).all()
    assert (w.sum(1) == rows).all()
    assert (w == resamplings(rows, resamples, seed)).all()


def coverage_of(measure, want: float, draws: int = 150) -> float:
    """The share of bootstrap intervals, over independent sets, in which `want` lies."""
    hit = 0
    for seed in range(draws):
        figure = measure(np.random.default_rng(seed))
        hit += figure.low <= want <= figure.high
    return hit / draws


def test_bootstrap_intervals_cover_the_expected_figure():
    """The interval is about the figure that other pictures of the same number would give; 95 % of them hold it."""
    true = Moments.of(np.random.default_rng(99).standard_normal((4000, 2)))

    def fid(rng, rows=80, resamples=60):
        x = rng.standard_normal((rows, 2)) * 1.3 + 0.5
        return bootstrapped([frechet(Moments.of(x, w), true) for w in resamplings(rows, resamples)], rows)

    expected = float(np.mean([fid(np.random.default_rng(10_000 + i), resamples=0).value for i in range(600)]))
    assert 0.88 <= coverage_of(fid, expected) <= 0.99

    centres = np.random.default_rng(98).standard_normal((100, 2))

    def inside(rng, rows=80, resamples=60):
        x = rng.standard_normal((rows, 2)) * 1.5
        return bootstrapped(precision(x, centres, weights=resamplings(rows, resamples)), rows)

    expected = float(np.mean([inside(np.random.default_rng(10_000 + i), resamples=0).value for i in range(600)]))
    assert 0.88 <= coverage_of(inside, expected) <= 0.99


def test_bootstrapped_tells_the_spread_about_the_figure():
    figure = bootstrapped([5.0, 7, 9, 11], 40)
    assert (figure.value, figure.total) == (5, 40)
    assert figure.high - figure.value == pytest.approx(1.959964 * 2)
    assert bootstrapped([5.0], 40).to_dict() == {"value": 5, "low": None, "high": None, "total": 40}
