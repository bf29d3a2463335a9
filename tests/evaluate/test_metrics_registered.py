"""Every registered metric of features: its statistic on the right kind of them, and the spread of its resamples."""

from __future__ import annotations

import numpy as np
import pytest

from sfumato.evaluate.features.extractor import LOGITS, POOL, SPATIAL, Extractor
from sfumato.evaluate.metric import CAPTIONS, METRICS, FeatureMetric, FeatureSets, Metric, PairMetric, chosen_metrics
from sfumato.evaluate.metrics import Moments, cmmd, coverage, density, frechet, kid, mmd, precision, recall, resamplings
from sfumato.evaluate.metrics.inception_score import inception_score
from sfumato.evaluate.metrics.kernel import polynomial
from sfumato.picture import BadInput

ROWS, RESAMPLES, Z = 24, 6, 1.959963984540054


@pytest.fixture(scope="module")
def sets() -> FeatureSets:
    rng = np.random.default_rng(0)
    generated = {POOL: rng.standard_normal((ROWS, 3)), LOGITS: rng.standard_normal((ROWS, 4))}
    generated[SPATIAL] = 2 * rng.standard_normal((ROWS, 5))
    real = {POOL: rng.standard_normal((30, 3)) + 0.3, SPATIAL: rng.standard_normal((30, 5))}
    cosines = rng.uniform(-0.2, 0.5, ROWS)
    weights = resamplings(ROWS, RESAMPLES)
    return FeatureSets(generated, real, weights, lambda kind: Moments.of(real[kind]), cosines)


def expected(name: str, sets: FeatureSets, w: np.ndarray) -> float:
    """The metric of the rows as often as w says, by the functions of papers."""
    times = w.astype(int)
    g, r = np.repeat(sets.generated[POOL], times, axis=0), sets.real[POOL]
    match name:
        case "fid":
            return frechet(Moments.of(g), Moments.of(r))
        case "sfid":
            far = np.repeat(sets.generated[SPATIAL], times, axis=0)
            return frechet(Moments.of(far), Moments.of(sets.real[SPATIAL]))
        case "kid":
            return kid(g, r).mean() if (w == 1).all() else mmd(polynomial, g, r)[0]
        case "cmmd":
            return cmmd(g, r)[0]
        case "is":
            return inception_score(np.repeat(sets.generated[LOGITS], times, axis=0))[0]
    measure = {"precision": precision, "recall": recall, "density": density, "coverage": coverage}[name]
    return measure(sets.generated[POOL], r, weights=w[None])[0]


BY_RESAMPLES = ("fid", "sfid", "kid", "cmmd", "is", "precision", "recall", "density", "coverage")


@pytest.mark.parametrize("name", BY_RESAMPLES)
def test_the_figure_is_the_paper_s_and_its_interval_that_of_the_resamples(name: str, sets: FeatureSets):
    metric = METRICS[name]
    assert isinstance(metric, FeatureMetric)
    figure = metric.statistic(sets)
    values = [expected(name, sets, w) for w in sets.weights]
    assert figure.value == pytest.approx(values[0], rel=1e-9)
    assert figure.high - figure.value == pytest.approx(Z * np.std(values[1:], ddof=1), rel=1e-6)
    assert figure.value - figure.low == pytest.approx(figure.high - figure.value)
    assert figure.total == ROWS


def test_scores_of_captions_are_means_over_pictures(sets: FeatureSets):
    assert sets.cosines is not None
    values = {"clip-score": 100 * np.maximum(sets.cosines, 0), "clip-cosine": sets.cosines}
    for name, rows in values.items():
        metric = METRICS[name]
        assert isinstance(metric, FeatureMetric)
        figure = metric.statistic(sets)
        assert figure.value == pytest.approx(rows.mean())
        assert figure.high - figure.value == pytest.approx(Z * rows.std(ddof=1) / ROWS**0.5)


def test_every_metric_of_features_is_tried_here():
    found = {name for name, metric in METRICS.items() if isinstance(metric, FeatureMetric)}
    assert found == {*BY_RESAMPLES, "clip-score", "clip-cosine"}


def test_what_a_metric_needs_and_what_is_better():
    lower = {"fid", "sfid", "kid", "cmmd", "lpips", "bits-per-dim"}
    assert {name for name, metric in METRICS.items() if metric.better == "lower"} == lower
    needs = {name: m.needs for name, m in METRICS.items() if isinstance(m, FeatureMetric) and m.needs != POOL}
    assert needs == {"sfid": SPATIAL, "is": LOGITS, "clip-score": CAPTIONS, "clip-cosine": CAPTIONS}


def test_the_default_is_what_features_and_pictures_allow():
    plain, clip = (Extractor(name, "", lambda x: {}, "0") for name in ("inception", "clip (folder)"))
    usual = ["fid", "sfid", "kid", "is", "precision", "recall", "density", "coverage", "clip-score"]
    assert chosen_metrics([], [plain], paired=False, smallest=64) == usual
    assert chosen_metrics([], [plain], paired=True, smallest=64) == [*usual, "psnr", "ssim"]
    assert chosen_metrics([], [plain], paired=True, smallest=8) == [*usual, "psnr"]
    assert set(chosen_metrics([], [plain, clip], paired=False, smallest=64)) - set(usual) == {"cmmd"}
    assert chosen_metrics(["kid", "fid", "kid"], [], paired=False, smallest=0) == ["kid", "fid"]
    with pytest.raises(BadInput, match="did you mean 'fid'"):
        chosen_metrics(["fidd"], [], paired=False, smallest=0)


def test_an_interval_stays_where_the_metric_can_be(sets: FeatureSets):
    metric: Metric = METRICS["precision"]
    assert isinstance(metric, FeatureMetric)
    wide = metric.statistic(sets)
    bounded = metric.bounded(wide.__class__(0.5, -0.2, 1.3, 4))
    assert (bounded.low, bounded.high) == (0, 1)
    ssim = METRICS["ssim"]
    assert isinstance(ssim, PairMetric)
    assert ssim.smallest == 11
