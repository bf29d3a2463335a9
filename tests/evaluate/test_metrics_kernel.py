"""KID and CMMD against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfumato.evaluate import statistics as r
from sfumato.evaluate.metrics import cmmd, kid, mmd
from sfumato.evaluate.metrics.kernel import gaussian, polynomial


def by_definition(k, x, y) -> float:
    """Gretton et al. 2012, eq. 3, as it stands there."""
    n, m = len(x), len(y)
    same_x = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    same_y = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return same_x + same_y - 2 * sum(k(a, b) for a in x for b in y) / (n * m)


def cubic(a, b) -> float:
    return float((a @ b / len(a) + 1) ** 3)


@pytest.fixture
def sets():
    rng = np.random.default_rng(0)
    return rng.standard_normal((11, 5)), rng.standard_normal((7, 5)) + 0.5


def test_the_unbiased_estimate_is_the_definition(sets):
    x, y = sets
    assert mmd(polynomial, x, y)[0] == pytest.approx(by_definition(cubic, x, y), rel=1e-12)


def test_chunks_change_nothing(sets, monkeypatch):
    x, y = sets
    whole = mmd(polynomial, x, y)[0]
    monkeypatch.setattr(r, "ENTRIES", 30)
    assert mmd(polynomial, x, y)[0] == pytest.approx(whole, rel=1e-12)


def test_kid_of_whole_sets_and_of_subsets(sets):
    x, y = sets
    rng = np.random.RandomState(2020)
    want = []
    for _ in range(4):
        i, j = rng.choice(11, 6, replace=False), rng.choice(7, 6, replace=False)
        want.append(by_definition(cubic, x[i], y[j]))
    np.testing.assert_allclose(kid(x, y, subsets=4, size=6), want, rtol=1e-10)
    np.testing.assert_allclose(kid(x, x[::-1]), [by_definition(cubic, x, x)], rtol=1e-10)


def test_kid_s_subsets_are_a_hundred_of_a_thousand():
    """Binkowski et al. 2018, appendix A, as torch-fidelity draws them; sets that are smaller are taken whole."""
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal((1100, 2)), rng.standard_normal((1010, 2))
    draw = np.random.RandomState(2020)
    i, j = draw.choice(1100, 1000, replace=False), draw.choice(1010, 1000, replace=False)
    assert kid(x, y, subsets=1)[0] == pytest.approx(mmd(polynomial, x[i], y[j])[0], rel=1e-9)
    assert kid(x[:9], y[:7]).shape == (100,)
    assert kid(x[:9], y[:9]).shape == (1,)


def test_kid_is_unbiased():
    """Over many draws of equal distributions its mean is zero, which the biased estimate's is not."""
    rng = np.random.default_rng(5)
    draws = [(rng.standard_normal((12, 3)), rng.standard_normal((12, 3))) for _ in range(400)]
    unbiased = np.array([kid(x, y)[0] for x, y in draws])
    assert abs(unbiased.mean()) < 3 * unbiased.std() / 20
    biased = np.array([mmd(polynomial, x, y, biased=True)[0] for x, y in draws])
    assert biased.mean() > 5 * biased.std() / 20


def test_cmmd_is_the_definition_and_nearly_ten_times_the_squared_gap(sets):
    x, y = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in sets)

    def k(a, b):
        return np.exp(-((a - b) ** 2).sum() / 200)

    want = np.mean([[k(a, b) for b in x] for a in x]) + np.mean([[k(a, b) for b in y] for a in y])
    want = 1000 * (want - 2 * np.mean([[k(a, b) for b in y] for a in x]))
    assert cmmd(*sets)[0] == pytest.approx(want, rel=1e-9)
    assert cmmd(*sets)[0] == pytest.approx(10 * ((x.mean(0) - y.mean(0)) ** 2).sum(), rel=0.02)
    assert cmmd(sets[0], sets[0])[0] == pytest.approx(0, abs=1e-9)
    assert gaussian(x, x)[0, 0] == pytest.approx(1)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_weights_count_rows_and_order_does_not_matter(seed, biased):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((6, 3)), rng.standard_normal((5, 3))
    w = rng.integers(0, 3, 6) + (np.arange(6) < 2)
    repeated = mmd(polynomial, rng.permutation(np.repeat(x, w, axis=0)), y[::-1], biased=biased)[0]
    assert mmd(polynomial, x, y, w[None].astype(float), biased)[0] == pytest.approx(repeated, rel=1e-9, abs=1e-9)
