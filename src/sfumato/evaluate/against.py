"""A model's pictures, or a folder of them, against a reference: FID and its kin, with intervals, in one report."""

from __future__ import annotations

import json as _json
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sfumato.evaluate import cached, likeness
from sfumato.evaluate.features import Extractor, features
from sfumato.evaluate.features.extractor import LOGITS, POOL, SPATIAL
from sfumato.evaluate.measures import ALWAYS, DENSITY, MEASURES, PAIRS, WORDS, Measure, Sets
from sfumato.evaluate.metrics import cosines, resamplings
from sfumato.evaluate.metrics.manifold import squares
from sfumato.evaluate.painted import Asking, paint, place
from sfumato.evaluate.pictures import VIGNETTES, Pictures, digest, pictures
from sfumato.evaluate.statistics import Figure
from sfumato.picture import BadInput, open_picture
from sfumato.picture.files import write_atomically
from sfumato.recipe.checks import nearest

if TYPE_CHECKING:
    from sfumato.model import Pipe

SMALLEST = 5  # pictures in a set
MANY = 10_000  # pictures of a reference by default
WORLD = 2_000  # vignettes of a reference by default


@dataclass(frozen=True)
class Found:
    """One number: the measure, its value with the interval, and the features that it was read from."""

    name: str
    measure: Measure
    figure: Figure
    features: str

    def told(self) -> dict[str, Any]:
        measure = self.measure
        about = {"title": measure.title, "better": measure.better, "source": measure.source, "features": self.features}
        return {"name": self.name, **about, **self.figure.told()}


@dataclass(frozen=True)
class Comparison:
    """What was compared and found. neighbours: for the first pictures, the nearest ones of the reference."""

    made: Pictures
    true: Pictures
    settings: dict[str, Any]
    extractors: Sequence[Extractor]
    found: Sequence[Found]
    neighbours: Sequence[Sequence[int]]
    seconds: float

    def told(self) -> dict[str, Any]:
        """The report as plain values for JSON."""
        return {
            "pictures": {"name": self.made.name, "count": len(self.made), "size": list(self.made.size)},
            "against": {"name": self.true.name, "count": len(self.true)},
            "settings": self.settings,
            "features": [
                {"name": e.name, "preprocessing": e.preprocessing, "fingerprint": e.fingerprint}
                for e in self.extractors
            ],
            "metrics": [found.told() for found in self.found],
            "seconds": round(self.seconds, 1),
            "versions": {name: version(name) for name in ("sfumato", "torch", "numpy", "scipy")},
        }


def run(
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
    tars, or FILE.npz (see `pictures`). Its pictures, at most `most` (2,000 vignettes or 10,000 others), are fitted to
    the model's size, or to that of the folder's first picture. features: names for `sfumato.evaluate.features`, by
    default the built-in ones for vignettes and Inception for all else. metrics: names of `MEASURES`, by default all
    that these pictures and features allow.
    A model paints `count` pictures of the seeds seed, seed + 1, ... of the reference's captions, of its classes in
    turn, or of the class `label`. Intervals come from `resamples` bootstrap resamples of these pictures, none with 0.

    Everything slow is kept and used again: pictures and their features in the folder `out` (by default
    out/MODEL-against-REFERENCE), the reference's features in the user's cache under a hash of what they depend on.
    A run that was stopped goes on where it was. report.json and report.html are written into `out`.
    Raises BadInput for what a user can mend.
    """
    from sfumato.progress import progress

    for name, value, low in (("count", count, SMALLEST), ("batch", batch, 1), ("resamples", resamples, 0)):
        if value < low:
            raise BadInput(f"--{name} is {value}: give a whole number of at least {low}")
    if most is not None and most < SMALLEST:
        raise BadInput(f"--reference is {most}: give a whole number of at least {SMALLEST}")
    home = out or Path("out") / f"{slug(str(folder or model))}-against-{slug(reference)}"
    found = compare(
        model,
        reference,
        folder=folder,
        features_from=features,
        metrics=metrics,
        count=count,
        most=most,
        batch=batch,
        asking=Asking(steps, sampler, guidance, seed, label),
        split=split,
        resamples=resamples,
        lpips=lpips,
        out=home,
        progress=progress,
    )
    write(found, home)
    if json:
        print(_json.dumps(found.told(), indent=1))
    else:
        from rich.console import Console

        from sfumato.evaluate.page import table

        Console().print(table(found))
        print(home / "report.html")
    return found.told()


def slug(text: str) -> str:
    """Letters, digits and dashes for a folder's name, from the end of a path."""
    return re.sub(r"[^a-z0-9]+", "-", Path(text).name.lower()).strip("-") or "pictures"


def compare(
    model: str | None,
    against: str,
    *,
    folder: Path | None = None,
    features_from: Sequence[str] = (),
    metrics: Sequence[str] = (),
    count: int = 1000,
    most: int | None = None,
    batch: int = 8,
    asking: Asking,
    split: str = "seen",
    resamples: int = 100,
    lpips: str | None = None,
    out: Path,
    progress: Any,
) -> Comparison:
    """Measures `count` pictures that `model` paints, or those of `folder`, against the reference `against`.

    See `run`; progress(title, total, done) is a context that yields `advance(n)`.
    """
    began = time.perf_counter()
    names = checked(metrics)
    extractors = [features(given) for given in features_from or usual(against)]
    limit = most or (WORLD if against == VIGNETTES else MANY)
    if (pipe := None if folder else loaded(model or "mini")) is None:
        assert folder is not None
        made = pictures(str(folder), None, count)
        true = pictures(against, made.size, limit, asking.seed, split)
        conditions, say = "", made.words
    else:
        true = pictures(against, pipe.size, limit, asking.seed, split)
        conditions, say = paint(pipe, asking, true, count, batch, out, progress)
        made = kept(out, count, pipe)
    for each in (made, true):
        if len(each) < SMALLEST:
            raise BadInput(f"{each.name} holds {len(each)} pictures: sets of at least {SMALLEST} can be compared.")

    wanted = names or default(extractors, made, true)
    found: list[Found] = []
    neighbours: Sequence[Sequence[int]] = ()
    weights = resamplings(len(made), resamples)
    for extract in extractors:
        sets = read(extract, made, true, out, batch, weights, say)
        neighbours = neighbours or nearest_of(sets)
        todo = [name for name in wanted if fits(MEASURES[name], sets)]
        with progress(f"measuring by {extract.name}", len(todo)) as advance:
            for name in todo:
                measure = MEASURES[name]
                assert measure.take is not None
                found.append(Found(name, measure, measure.figure(measure.take(sets)), extract.name))
                advance(1)
    for name in wanted:
        measure = MEASURES[name]
        if measure.needs == PAIRS:
            found.append(Found(name, measure, *likeness.of_pairs(name, made, true, batch, lpips)))
        elif measure.needs == DENSITY:
            if pipe is None:
                raise BadInput(f"{name} is measured of a model, not of pictures: give a model instead of --pictures.")
            found.append(Found(name, measure, *likeness.bits(pipe, asking, true, batch)))
    unmet(names, found, extractors)
    settings = {"model": model, "told": conditions, **vars(asking)} if pipe else {"folder": str(folder)}
    settings |= {"resamples": resamples, "split": split if against == VIGNETTES else None}
    return Comparison(made, true, settings, extractors, found, neighbours, time.perf_counter() - began)


def loaded(model: str) -> Pipe:
    import sfumato

    return sfumato.load(model)


def checked(metrics: Iterable[str]) -> list[str]:
    """BadInput for a name that MEASURES doesn't have."""
    names = list(dict.fromkeys(metrics))
    for name in names:
        if name not in MEASURES:
            raise BadInput(f"There is no metric {name!r}{nearest(name, MEASURES)}: accepted are {', '.join(MEASURES)}.")
    return names


def usual(against: str) -> list[str]:
    """The features of a reference that nobody chose any for: the built-in ones know vignettes alone."""
    return ["vignettes-features" if against == VIGNETTES else "inception"]


def kept(out: Path, count: int, pipe: Pipe) -> Pictures:
    """The painted pictures in `out`."""
    stamps = [(path.stat().st_size, path.stat().st_mtime_ns) for path in (place(out, i) for i in range(count))]
    read = lambda i: open_picture(place(out, i))  # noqa: E731
    return Pictures(pipe.name, count, pipe.size, digest("painted", stamps, pipe.size), read)


def default(extractors: Sequence[Extractor], made: Pictures, true: Pictures) -> list[str]:
    """What is measured where no metrics are named: all that the features and the pictures allow. CMMD is CLIP's."""
    names = [name for name in ALWAYS if MEASURES[name].needs != PAIRS or likeness.paired(made, true)]
    if min(made.size) < likeness.SMALLEST:
        names = [name for name in names if name != "ssim"]
    return names + ["cmmd"] * any(e.name.startswith("clip") for e in extractors)


def read(
    extract: Extractor, made: Pictures, true: Pictures, out: Path, batch: int, weights: np.ndarray, say: Any
) -> Sets:
    """The features of both sets, computed or from where they are kept."""
    where = cached.cache() / "features"
    true_rows = cached.features_of(extract, true, where, batch)
    made_rows = cached.features_of(extract, made, out / "features", batch)
    texts = [say(i) for i in range(len(made))] if extract.words else []
    near = None
    if extract.words and all(texts):
        embedded = [extract.words(texts[i : i + 64]).numpy() for i in range(0, len(texts), 64)]
        near = cosines(made_rows[POOL], np.concatenate(embedded))
    beside = where / f"features-{cached.key_of(extract, true)}"
    return Sets(made_rows, true_rows, weights, lambda kind: cached.moments_of(true_rows[kind], kind, beside), near)


def fits(measure: Measure, sets: Sets) -> bool:
    """Whether these sets have what the measure needs."""
    if measure.needs == WORDS:
        return sets.cosines is not None
    return measure.needs in sets.made


def unmet(names: Sequence[str], found: Sequence[Found], extractors: Sequence[Extractor]) -> None:
    """BadInput if a metric that was asked for could not be taken of any of the features."""
    lacking = {
        WORDS: "needs features that read words, as clip:FOLDER, and captions of all pictures",
        LOGITS: "needs features with classes, as inception or a classifier's folder",
        SPATIAL: "needs features with a map, as inception",
    }
    for name in set(names) - {each.name for each in found}:
        which = ", ".join(extract.name for extract in extractors)
        raise BadInput(f"{name} {lacking.get(MEASURES[name].needs, 'needs other features')}; these are {which}.")


def nearest_of(sets: Sets, count: int = 8, near: int = 5) -> list[list[int]]:
    """The indices of the reference's pictures that are nearest to the first `count`, by the Euclidean distance."""
    rows: list[list[int]] = []
    for _, square in squares(np.asarray(sets.made[POOL][:count]), sets.true[POOL]):
        rows += np.argsort(square, axis=1)[:, :near].tolist()
    return rows


def write(comparison: Comparison, out: Path) -> None:
    """report.json and report.html into `out`."""
    from sfumato.evaluate.page import page

    write_atomically(out / "report.json", (_json.dumps(comparison.told(), indent=1) + "\n").encode())
    write_atomically(out / "report.html", page(comparison).encode())
