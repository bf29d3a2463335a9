"""A model's pictures, or a folder of them, against a reference: FID and its kin, with intervals, in one report."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sfumato.data.array_cache import digest
from sfumato.evaluate import feature_cache
from sfumato.evaluate.comparison import Comparison, Measurement
from sfumato.evaluate.comparison_page import comparison_table, write_comparison
from sfumato.evaluate.features import Extractor, features
from sfumato.evaluate.features.extractor import POOL
from sfumato.evaluate.metric import METRICS, FeatureMetric, FeatureSets, ModelMetric, PairMetric, chosen_metrics
from sfumato.evaluate.metrics import cosines, resamplings
from sfumato.evaluate.metrics.manifold import squares
from sfumato.evaluate.model_samples import SampleSettings, picture_path, sample_pictures
from sfumato.evaluate.pictures import VIGNETTES, Pictures, picture_set
from sfumato.evaluate.report_file import printed
from sfumato.evaluate.statistics import Figure, mean
from sfumato.lazy import Tensor, torch
from sfumato.picture import BadInput, open_picture
from sfumato.progress import progress

if TYPE_CHECKING:
    from sfumato.model import Pipe

MANY = 10_000  # pictures of a reference by default
WORLD = 2_000  # vignettes of a reference by default


def compare_and_report(
    model: str | None,
    reference: str,
    *,
    folder: Path | None = None,
    features: Sequence[str] = (),
    metrics: Sequence[str] = (),
    count: int = 1000,
    most: int | None = None,
    batch: int = 8,
    steps: int = 20,
    sampler: str = "dpmpp-2m",
    guidance: float = 5.0,
    seed: int = 1_000_003,
    split: str = "seen",
    label: str | None = None,
    resamples: int = 100,
    lpips: str | None = None,
    out: Path | None = None,
    json: bool = False,
) -> dict[str, Any]:
    """Measures what `model` paints, or the pictures of `folder`, against `reference`; prints, writes, returns a report.

    reference: "vignettes" (drawn on the fly at the model's size: `split` of the world `seed`), a folder of pictures or
    tars, or FILE.npz (see `picture_set`). Its pictures, at most `most` (2,000 vignettes or 10,000 others), are fitted
    to the model's size, or to that of the folder's first picture. features: names for `sfumato.evaluate.features`, by
    default the built-in ones for vignettes and Inception for all else. metrics: names of `METRICS`, by default all
    that these pictures and features allow.
    A model paints `count` pictures of the seeds seed, seed + 1, ... of the reference's captions, of its classes in
    turn, or of the class `label`. Intervals come from `resamples` bootstrap resamples of these pictures, none with 0.

    Everything slow is kept and used again: pictures and their features in the folder `out` (by default
    out/MODEL-against-REFERENCE), the reference's features in the user's cache under a hash of what they depend on.
    A run that was stopped goes on where it was. report.json and report.html are written into `out`.
    Raises BadInput for what a user can mend.
    """
    fewest = fewest_of(metrics)
    limits = (("count", count, fewest), ("reference", most, fewest), ("batch", batch, 1), ("resamples", resamples, 0))
    for name, value, low in limits:
        if value is not None and value < low:
            raise BadInput(f"--{name} is {value}: give a whole number of at least {low}")
    home = out or Path("out") / f"{slug(str(folder or model))}-against-{slug(reference)}"
    sampling = SampleSettings(steps, sampler, guidance, seed, label)
    began = time.perf_counter()
    extractors = extractors_of(metrics, features, reference)
    limit = most or (WORLD if reference == VIGNETTES else MANY)
    if (pipe := None if folder else loaded(model or "mini")) is None:
        assert folder is not None
        generated = picture_set(str(folder), None, count)
        real = picture_set(reference, generated.size, limit, sampling.seed, split)
        conditions, caption = "", generated.words
    else:
        real = picture_set(reference, pipe.size, limit, sampling.seed, split)
        conditions, caption = sample_pictures(pipe, sampling, real, count, batch, home, progress)
        generated = kept(home, count, pipe)
    for each in (generated, real):
        if len(each) < fewest:
            raise BadInput(f"{each.name} holds {len(each)} pictures: sets of at least {fewest} can be compared.")

    names = chosen_metrics(list(metrics), extractors, paired(generated, real), min(generated.size))
    measurements: list[Measurement] = []
    neighbours: Sequence[Sequence[int]] = ()
    weights = resamplings(len(generated), resamples)
    for extract in extractors:
        sets = feature_sets(extract, generated, real, home, batch, weights, caption)
        neighbours = neighbours or nearest_of(sets)
        measurements += of_features(names, extract, sets, progress)
    for name in names:
        metric = METRICS[name]
        if isinstance(metric, PairMetric):
            measurements.append(Measurement(name, metric, *of_pairs(name, metric, generated, real, batch, lpips)))
        elif isinstance(metric, ModelMetric):
            if pipe is None:
                raise BadInput(f"{name} is measured of a model, not of pictures: give a model instead of --pictures.")
            measurements.append(Measurement(name, metric, *metric.measure(pipe, sampling, real, batch)))
    if metrics:
        refuse_unmet(names, measurements, extractors)
    settings = {"model": model, "conditions": conditions, **vars(sampling)} if pipe else {"folder": str(folder)}
    settings |= {"resamples": resamples, "split": split if reference == VIGNETTES else None}
    seconds = time.perf_counter() - began
    comparison = Comparison(generated, real, settings, extractors, measurements, neighbours, seconds)
    write_comparison(comparison, home)
    told = printed(comparison.to_dict(), lambda: comparison_table(comparison), json)
    if not json:
        print(home / "report.html")
    return told


def slug(text: str) -> str:
    """Letters, digits and dashes for a folder's name, from the end of a path."""
    return re.sub(r"[^a-z0-9]+", "-", Path(text).name.lower()).strip("-") or "pictures"


def loaded(model: str) -> Pipe:
    import sfumato
    from sfumato.model import POOL

    return sfumato.load(model, pool=POOL)


def fewest_of(metrics: Sequence[str]) -> int:
    """How many pictures a set needs at least for these metrics, or where none are named for the usual ones."""
    named = [METRICS[name] for name in metrics]
    return max(metric.fewest for metric in named or METRICS.values() if named or metric.default)


def extractors_of(metrics: Sequence[str], named: Sequence[str], reference: str) -> list[Extractor]:
    """The features that are `named`, or else those of the reference: the built-in ones know vignettes alone. None
    where no metric that is asked for is one of features. Raises BadInput for an unknown metric."""
    if metrics and not any(isinstance(METRICS[name], FeatureMetric) for name in metrics):
        if named:
            raise BadInput(f"{', '.join(metrics)} is taken of no features: leave --features out, or name more metrics")
        return []
    return [features(name) for name in named or ["vignettes-features" if reference == VIGNETTES else "inception"]]


def kept(out: Path, count: int, pipe: Pipe) -> Pictures:
    """The generated pictures in `out`."""
    stamps = [(path.stat().st_size, path.stat().st_mtime_ns) for path in (picture_path(out, i) for i in range(count))]
    read = lambda i: open_picture(picture_path(out, i))  # noqa: E731
    return Pictures(pipe.name, count, pipe.size, digest("painted", stamps, pipe.size), read)


def of_features(names: Sequence[str], extract: Extractor, sets: FeatureSets, progress: Any) -> Iterator[Measurement]:
    """The metrics of `names` that can be taken of these sets."""
    possible = {name: metric for name in names if isinstance(metric := METRICS[name], FeatureMetric)}
    possible = {name: metric for name, metric in possible.items() if metric.possible(sets)}
    with progress(f"measuring by {extract.name}", len(possible)) as advance:
        for name, metric in possible.items():
            yield Measurement(name, metric, metric.bounded(metric.statistic(sets)), extract.name)
            advance(1)


def paired(generated: Pictures, real: Pictures) -> bool:
    """Whether both sets are files of the same names: a picture and what it should be."""
    return bool(generated.names) and list(generated.names) == list(real.names)


def of_pairs(
    name: str, metric: PairMetric, generated: Pictures, real: Pictures, batch: int, weights: str | None
) -> tuple[Figure, str]:
    """The mean of a metric over all pairs, and what it was read from."""
    if not paired(generated, real):
        raise BadInput(
            f"{name} compares pairs, pictures of the same names in both folders: {generated.name} has others."
        )
    if (side := metric.smallest) > min(generated.size):
        raise BadInput(f"{name} looks through windows of {side} x {side} pixels: the pictures are smaller.")
    distance, read_from = metric.load(weights)
    values: list[float] = []
    with torch.no_grad():
        for x, y in _pairs(generated, real, batch):
            values += distance(x, y).tolist()
    return metric.bounded(mean(values)), read_from


def _pairs(generated: Pictures, real: Pictures, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
    for start in range(0, len(generated), batch):
        rows = range(start, min(start + batch, len(generated)))
        yield generated.batch(rows), real.batch(rows)


def feature_sets(
    extract: Extractor,
    generated: Pictures,
    real: Pictures,
    out: Path,
    batch: int,
    weights: np.ndarray,
    caption: Callable[[int], str],
) -> FeatureSets:
    """The features of both sets, computed or from where they are kept."""
    cache = feature_cache.cache() / "features"
    real_rows = feature_cache.features_of(extract, real, cache, batch)
    generated_rows = feature_cache.features_of(extract, generated, out / "features", batch)
    texts = [caption(i) for i in range(len(generated))] if extract.words else []
    near = None
    if extract.words and all(texts):
        embedded = [extract.words(texts[i : i + 64]).numpy() for i in range(0, len(texts), 64)]
        near = cosines(generated_rows[POOL], np.concatenate(embedded))
    folder = cache / f"features-{feature_cache.key_of(extract, real)}"
    moments = lambda kind: feature_cache.moments_of(real_rows[kind], kind, folder)  # noqa: E731
    return FeatureSets(generated_rows, real_rows, weights, moments, near)


def refuse_unmet(names: Sequence[str], measurements: Sequence[Measurement], extractors: Sequence[Extractor]) -> None:
    """BadInput if a metric that was asked for could not be taken of any of the features."""
    for name in set(names) - {each.name for each in measurements}:
        metric, which = METRICS[name], ", ".join(extract.name for extract in extractors)
        assert isinstance(metric, FeatureMetric)
        raise BadInput(f"{name} {metric.lacking()}; these are {which}.")


def nearest_of(sets: FeatureSets, count: int = 8, near: int = 5) -> list[list[int]]:
    """The indices of the real pictures that are nearest to the first `count`, by the Euclidean distance."""
    rows: list[list[int]] = []
    for _, square in squares(np.asarray(sets.generated[POOL][:count]), sets.real[POOL]):
        rows += np.argsort(square, axis=1)[:, :near].tolist()
    return rows
