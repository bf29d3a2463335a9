"""What studies that measure share: pictures sampled in parts that are kept, their features, and metrics of these."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sfumato.condition import Condition
from sfumato.denoise import Denoiser, Prediction, bind
from sfumato.edit import NoiseStart
from sfumato.evaluate.features import Extractor, features
from sfumato.evaluate.features.extractor import POOL
from sfumato.evaluate.metric import METRICS, FeatureMetric, FeatureSets
from sfumato.evaluate.metrics import Moments, resamplings
from sfumato.evaluate.pictures import VIGNETTES, Pictures, picture_set
from sfumato.guide import ClassifierFree, ClassifierGuidance, Guided, StaticThreshold
from sfumato.model import Pipe
from sfumato.model.batch import Batch
from sfumato.noise import KeyedNoise
from sfumato.picture import BadInput
from sfumato.sample import Sampler, trajectory
from sfumato.schedule import Schedule
from sfumato.study.pictures import WORLD, decoded, recipe_for, subject, words_of
from sfumato.study.study import Cell, Model, Result, Tick
from sfumato.times import grid
from sfumato.zoo.files import stamp
from sfumato.zoo.find import find

PART = 500  # pictures in a cell: what a kill may cost
SEED = 3_000_017
MEASURED = ("fid", "sfid", "is", "precision", "recall")
CLASSIFIER_INTERVAL = (
    0.0,
    0.97,
)  # where a classifier guides: at t = 1 alpha is next to 0, and any gradient next to infinite
DEFAULT_REFERENCE = "data/fashion_mnist.npz:test_x"


@dataclass(frozen=True)
class StampedName:
    """Something by name, and a stamp of its files."""

    name: str
    stamp: str

    @classmethod
    def named(cls, name: str) -> StampedName:
        path = Path(name.partition(".npz:")[0] + ".npz") if ".npz:" in name else Path(name.partition(":")[2] or name)
        return cls(name, stamp(path) if path.exists() else "")


@cache
def extractor(source: StampedName) -> Extractor:
    return features(source.name)


def default_sources(model: Model, against: str, features_name: str) -> tuple[StampedName, StampedName]:
    """What the model's pictures are compared with, and by which features: as named, else those that belong to it.

    A model of words is compared with the built-in world by its own features; a model of classes with Fashion-MNIST's
    test pictures, by the classifier in features/ of its own folder. Raises BadInput where the pictures are not there.
    """
    text, own = model.load().stage.capabilities.text, find(model.name) / "features"
    against = against or (VIGNETTES if text else DEFAULT_REFERENCE)
    if against == DEFAULT_REFERENCE and not Path(DEFAULT_REFERENCE.partition(":")[0]).exists():
        raise BadInput(
            f"This study compares with true pictures, and {DEFAULT_REFERENCE.partition(':')[0]} is not here: "
            "give others by --set against=FOLDER or --set against=FILE.npz:NAME."
        )
    own_or_inception = str(own) if own.is_dir() else "inception"
    return StampedName.named(against), StampedName.named(
        features_name or ("vignettes-features" if against == VIGNETTES else own_or_inception)
    )


@dataclass(frozen=True)
class SamplingSetup:
    """How pictures are sampled: conditional on their class or words or not; the scales of classifier guidance (0 off)
    and of classifier-free guidance (1 is off); sampler and steps."""

    conditional: bool = True
    classifier_scale: float = 0.0
    guidance_scale: float = 1.0
    sampler: str = "ddim"
    steps: int = 25


def parts(name: str, setup: SamplingSetup, model: Model, read: StampedName, count: int) -> list[Cell]:
    """The cells that make `count` pictures and read their features, PART at a time."""
    arguments = {"model": model, "read": read, "setup": setup}
    return [
        Cell(f"{name}, {first}", sample_and_read, {**arguments, "first": first, "count": min(PART, count - first)})
        for first in range(0, count, PART)
    ]


def cells_of(s: Any, setups: Mapping[str, SamplingSetup], model: Model) -> list[Cell]:
    """The cells that read the true pictures' features, sample by every setup, and measure the samples against them.

    s: settings with count, true, resamples, against and features, as `GuidanceSettings` has them.
    """
    against, read = default_sources(model, s.against, s.features)
    true = Cell("true pictures", read_real, {"against": against, "read": read, "model": model, "count": s.true})
    found = [true, *ceiling(s.resamples)]
    for name, setup in setups.items():
        samples = parts(name, setup, model, read, s.count)
        needs = (true.name, *(cell.name for cell in samples))
        found += [*samples, Cell(name, measured, {"resamples": s.resamples}, needs)]
    return found


@torch.no_grad()
def sample_and_read(
    tick: Tick, model: Model, read: StampedName, setup: SamplingSetup, first: int, count: int, batch: int = 50
) -> Result:
    """Features of pictures first .. first + count - 1, each with a seed of its own; seconds and network rows a picture.

    All setups use the same seeds and ask for the same classes, in turn, so that they differ in nothing else.
    """
    pipe, extract = model.load(), extractor(read)
    found: dict[str, list[np.ndarray]] = {}
    shown, seconds, counted = [], 0.0, Counted(pipe.stage.denoiser)
    for start in range(first, first + count, batch):
        numbers = range(start, min(start + batch, first + count))
        began = time.perf_counter()
        picture = sample_images(pipe, setup, numbers, counted)
        seconds += time.perf_counter() - began
        for kind, rows in extract(torch.from_numpy(picture).permute(0, 3, 1, 2).float() / 127.5 - 1).items():
            found.setdefault(kind, []).append(rows.numpy())
        shown.append(picture)
        tick(numbers[-1] + 1 - first, count)
    first_ones = np.concatenate(shown)[:20] if first == 0 else np.concatenate(shown)[:0]
    rows = {f"f.{kind}": np.concatenate(values) for kind, values in found.items()}
    names = [words_of(subject(pipe, recipe_for(pipe, 1.0), n)) for n in range(len(first_ones))]
    return {**rows, "pictures": first_ones, "named": names, "each": seconds / count, "rows": counted.rows / count}


def sample_images(pipe: Pipe, setup: SamplingSetup, numbers: Sequence[int], denoiser: Denoiser) -> np.ndarray:
    """Pictures (B, H, W, 3) uint8 of the subjects `numbers`."""
    stage = pipe.stage
    recipes = [subject(pipe, recipe_for(pipe, setup.guidance_scale, SEED + n), n) for n in numbers]
    condition = stage.encode(recipes)
    if not setup.conditional:
        denoiser = Unconditional(denoiser)
    guidances: list[Any] = [ClassifierFree(setup.guidance_scale)] if setup.guidance_scale != 1 else []
    if setup.classifier_scale:
        guidances.append(
            ClassifierGuidance(setup.classifier_scale, interval=CLASSIFIER_INTERVAL).bind(
                Batch(stage, recipes, pipe.size)
            )
        )
    if stage.space.factor == 1:  # pixels stay in their range; at alpha near 0 a gradient would throw x0 far out of it
        guidances.append(StaticThreshold(1.0))
    denoise = bind(Guided(denoiser, guidances), condition)
    noise = KeyedNoise([recipe.seed for recipe in recipes])
    width, height = (side // stage.space.factor for side in pipe.size)
    like = torch.zeros(len(recipes), stage.space.channels, height, width)
    x, times = NoiseStart(like)(denoise, grid("uniform", setup.steps, denoise.schedule), noise)
    for step in trajectory(denoise, Sampler.registry.named(setup.sampler), x, times, noise):
        x = step.x
    return decoded(pipe, x)


@dataclass(frozen=True)
class Unconditional:
    """A denoiser that is conditioned on nothing, whatever the guidances around it know."""

    denoiser: Denoiser

    @property
    def schedule(self) -> Schedule:
        return self.denoiser.schedule

    def __call__(self, x: Tensor, t: Tensor, condition: Condition) -> Prediction:
        return self.denoiser(x, t, condition.null())


class Counted:
    """A denoiser that counts the rows it is asked for."""

    def __init__(self, denoiser: Denoiser) -> None:
        self.denoiser, self.schedule, self.rows = denoiser, denoiser.schedule, 0

    def __call__(self, x: Tensor, t: Tensor, condition: Condition) -> Prediction:
        self.rows += len(x)
        return self.denoiser(x, t, condition)


@torch.no_grad()
def read_real(
    tick: Tick, against: StampedName, read: StampedName, model: Model, count: int, batch: int = 100
) -> Result:
    """Features of at most `count` true pictures, spread over their set, at the model's size; the first ones to show."""
    found: Pictures = picture_set(against.name, model.load().size, count, WORLD)
    extract = extractor(read)
    rows: dict[str, list[np.ndarray]] = {}
    for start in range(0, len(found), batch):
        for kind, values in extract(found.batch(range(start, min(start + batch, len(found))))).items():
            rows.setdefault(kind, []).append(values.numpy())
        tick(min(start + batch, len(found)), len(found))
    own = extract.name == str(find(model.name) / "features")
    said = f"{len(found)} pictures of {found.name}, by {f'the features of {model.name}' if own else extract.name}"
    return {**{f"f.{kind}": np.concatenate(values) for kind, values in rows.items()}, "said": said}


def measured(tick: Tick, real: Result, *samples: Result, resamples: int) -> Result:
    """Each figure of TAKEN that these features allow as (value, low, high), with the cost of a picture."""
    ours = {kind: np.concatenate([part[kind] for part in samples]) for kind in samples[0] if kind.startswith("f.")}
    sets = FeatureSets(
        {kind[2:]: rows for kind, rows in ours.items()},
        {kind[2:]: rows for kind, rows in real.items() if kind.startswith("f.")},
        resamplings(len(ours[f"f.{POOL}"]), resamples),
        lambda kind: Moments.of(real[f"f.{kind}"]),
    )
    found: dict[str, Any] = {"count": len(sets)}
    for i, name in enumerate(MEASURED):
        metric = METRICS[name]
        if isinstance(metric, FeatureMetric) and metric.possible(sets):
            figure = metric.statistic(sets)
            found[name] = np.array([figure.value, figure.low, figure.high])
        tick(i + 1, len(MEASURED))
    weights = [len(part[f"f.{POOL}"]) for part in samples]
    for name in ("each", "rows"):
        if name in samples[0]:
            found[name] = np.average([float(part[name]) for part in samples], weights=weights)
    return found


def half(tick: Tick, real: Result, part: int) -> Result:
    """Every second true picture, from the first or from the second on: one half measured against the other."""
    return {kind: rows[part::2] for kind, rows in real.items() if kind.startswith("f.")}


def ceiling(resamples: int) -> list[Cell]:
    """Cells that measure one half of the true pictures against the other: what no model need surpass."""
    halves = [Cell(f"half {part}", half, {"part": part}, ("true pictures",)) for part in (0, 1)]
    return [*halves, Cell("ceiling", measured, {"resamples": resamples}, ("half 0", "half 1"))]


def table_row(found: Result) -> dict[str, Any]:
    """A row of a table: each figure with its 95 % interval."""
    row: dict[str, Any] = {}
    for name in MEASURED:
        if name in found:
            title = METRICS[name].title
            value, low, high = (float(v) for v in found[name])
            row |= {title: value, f"{title} low": low, f"{title} high": high}
    return row | {"pictures": int(found["count"])}


def headings(part: Result) -> list[str]:
    """What the shown pictures were asked to be, where that is short enough to stand over them."""
    names = [str(name) for name in part["named"][:10]]
    return names if max(map(len, names)) <= 12 else [""] * len(names)


def value(found: Mapping[str, Any], name: str) -> float:
    return float(found[name][0])


def spread(found: Mapping[str, Any], name: str) -> float:
    """Half of the 95 % interval; NaN where none is known."""
    return float(found[name][2] - found[name][1]) / 2


def apart(a: Mapping[str, Any], b: Mapping[str, Any], name: str) -> bool:
    """Whether two figures' intervals do not meet; where one is not known, nothing is claimed."""
    return abs(value(a, name) - value(b, name)) > spread(a, name) + spread(b, name)
