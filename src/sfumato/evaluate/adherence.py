"""Whether a control is obeyed, as numbers: maps of known truth are shown, and read again in what was painted.

    floor      what the estimator reads in pictures of the same words and seeds, made without the control
    ours       in those made with it
    ceiling    in the true pictures, as far as the model's autoencoder can show them
    estimator  in the true pictures themselves

each against the truth that was shown, by the metrics of its kind of map (`sfumato.evaluate.map_metrics`); and as many
pictures again at each weight of a sweep. A control that is shown a picture itself, an image prompt, is told of true
pictures, all are painted without words, and the truth is what those pictures are of (`sfumato.evaluate.likeness`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from sfumato.control import Control, ControlMap
from sfumato.control.maps import Segmentation
from sfumato.data import vignettes
from sfumato.data.vignette_edges import edges, lined
from sfumato.data.vignettes.scene import SPLITS
from sfumato.evaluate.attributes import through
from sfumato.evaluate.laid_out import laid_out
from sfumato.evaluate.likeness import Likeness
from sfumato.evaluate.map_metric import MapMetric, metrics_of
from sfumato.evaluate.metrics.frechet import Moments, frechet
from sfumato.evaluate.model_samples import SampleSettings, recipe_of
from sfumato.evaluate.report_file import printed
from sfumato.evaluate.statistics import Figure
from sfumato.model.networks import place_of
from sfumato.picture import BadInput, keep_for_now
from sfumato.picture.errors import printable
from sfumato.progress import progress
from sfumato.recipe.prompt import literal
from sfumato.recipe.written import controlled
from sfumato.space.pixels import to_images, to_tensor

if TYPE_CHECKING:
    from sfumato.data.vignettes import Scene, Vignette
    from sfumato.model import Pipe

PARTS = ("floor", "ours", "ceiling", "estimator")


def at(weight: float) -> str:
    """What the part of a sweep is called in which the controls have `weight` times the weight that was said."""
    return f"x {weight:g}"


@dataclass(frozen=True, eq=False)
class Drawn:
    """A picture of the built-in world of which everything is known: what `ControlMap.truth` is told.

    vignette: its depth, normals, classes, keypoints. contours, lines: (H, W) bool, drawn when they are asked for.
    """

    scene: Scene
    vignette: Vignette

    @classmethod
    def of(cls, scene: Scene, size: int) -> Drawn:
        return cls(scene, vignettes.draw(scene, size))

    @cached_property
    def _edges(self) -> np.ndarray:
        return np.moveaxis(lined(np.stack(edges(self.scene, self.vignette.image.shape[0]), -1)), -1, 0)

    @property
    def contours(self) -> np.ndarray:
        return self._edges[0]

    @property
    def lines(self) -> np.ndarray:
        return self._edges[1]

    @property
    def picture(self) -> Image.Image:
        return Image.fromarray(self.vignette.image)


@dataclass(frozen=True)
class Row:
    """A metric of a map, in each of `PARTS`, and at each weight of a sweep (`at`)."""

    map: str
    metric: str
    about: MapMetric
    figures: dict[str, Figure]

    @property
    def closed(self) -> float:
        """How much of the way from the floor to the ceiling ours goes: (ours - floor) / (ceiling - floor)."""
        floor, ours, ceiling = (self.figures[part].value for part in PARTS[:3])
        return (ours - floor) / (ceiling - floor) if ceiling != floor else float("nan")


@dataclass(frozen=True)
class Adherence:
    """What was measured. fid: on the built-in features, to the true pictures, of pictures without and with the control:
    what it costs. shown: for each picture the true one, the maps, without and with, and those of a sweep."""

    settings: dict[str, Any]
    rows: list[Row]
    fid: dict[str, float]
    shown: list[list[Image.Image]]
    seconds: float

    @property
    def swept(self) -> dict[float, str]:
        """The parts of a sweep by their weights."""
        return {weight: at(weight) for weight in self.settings["weights"]}

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values for JSON."""
        rows = [
            {
                "map": row.map,
                "metric": row.metric,
                "better": row.about.better,
                **{part: figure.to_dict() for part, figure in row.figures.items()},
                "closed": None if row.closed != row.closed else row.closed,
            }
            for row in self.rows
        ]
        fid = {part: None if value != value else value for part, value in self.fid.items()}
        versions = {name: version(name) for name in ("sfumato", "torch", "diffusers")}
        return {**self.settings, "adherence": rows, "fid": fid, "seconds": self.seconds, "versions": versions}


def run_adherence(
    model: str,
    controls: Sequence[str],
    *,
    count: int = 100,
    split: str = "seen",
    seed: int = 1_000_003,
    steps: int = 20,
    guidance: float = 5.0,
    sampler: str = "dpmpp-2m",
    weights: Sequence[float] = (),
    layout: bool = False,
    out: Path | None = None,
    json: bool = False,
) -> dict[str, Any]:
    """How well `model` obeys controls, `count` vignettes of the world `seed`; they act at once where they are several.
    With `layout` instead how well it keeps to a layout of the kind that it was trained on, read as classes.

    controls: as `depth:net=FOLDER,weight=0.8`, `t2i-adapter:map=depth,net=FOLDER` or `ip-adapter:net=FOLDER`. weights:
    a sweep; the pictures are painted again at each of them, times what the controls say. Prints a table (with `json`
    the report), writes report.json, a sheet of pictures and of a sweep its curves into the folder `out` if one is
    given, returns the report. Raises BadInput for what a user can mend.
    """
    import sfumato
    from sfumato.evaluate.adherence_report import adherence_table, write_adherence_report

    if split not in SPLITS:
        raise BadInput(f"There is no split {printable(split)!r} of vignettes: accepted are {', '.join(SPLITS)}.")
    if weights and out is not None and find_spec("matplotlib") is None:
        raise BadInput("curves are drawn with matplotlib, which is not installed: pip install 'sfumato[study]'")
    if layout and (controls or weights):
        raise BadInput("A layout is measured alone: leave controls and weights out.")
    makers = [controlled(text) for text in controls]
    tried = [maker(keep_for_now(Image.new("RGB", (8, 8)))) for maker in makers]  # refused before a model is read
    makers = [_found(maker, each, model) for maker, each in zip(makers, tried, strict=True)]
    kinds = [kind_of(each) for each in tried]
    sampling = SampleSettings(steps, sampler, guidance, seed)
    pipe = sfumato.load(model)
    told = pipe.capabilities.layout if layout else ""
    if layout and not told:
        raise BadInput(f"{pipe.name} was not trained on layouts: take --control segmentation instead.")
    if layout:
        kinds = [Segmentation()]
    found = measure_adherence(
        pipe, makers, kinds, count=count, split=split, sampling=sampling, weights=weights, layout=told
    )
    found.settings.update({"layout": told} if layout else {"controls": list(controls)})
    if out is not None:
        write_adherence_report(found, Path(out))
    return printed(found.to_dict(), lambda: adherence_table(found), json)


def measure_adherence(
    pipe: Pipe,
    makers: Sequence[Any],
    kinds: Sequence[ControlMap | Likeness],
    *,
    count: int,
    split: str,
    sampling: SampleSettings,
    weights: Sequence[float] = (),
    layout: str = "",
) -> Adherence:
    """makers: from the map of a picture, and kinds: what it is a map of, the control. layout: without makers, what the
    model was trained on. See `run_adherence`."""
    began = time.perf_counter()
    width, height = pipe.size
    if width != height:
        raise BadInput(f"{pipe.name} paints pictures of {width} x {height}, and vignettes are square.")
    scenes = [vignettes.scene(sampling.seed, i, split) for i in range(count)]  # pyright: ignore[reportArgumentType]
    true = [Drawn.of(scene, width) for scene in scenes]
    truths = [[kind.truth(each) for each in true] for kind in kinds]
    maps = [
        [each.picture for each in true]
        if isinstance(kind, Likeness)
        else [kind.draw(truth, pipe.size) for truth in some]
        for kind, some in zip(kinds, truths, strict=True)
    ]
    words = pipe.capabilities.text and not any(isinstance(kind, Likeness) for kind in kinds)
    plain = recipe_of(pipe, sampling)
    if layout:
        plain = replace(plain, guidance=pipe.stage.suits.scaled(sampling.guidance))
    recipes = [
        replace(plain, prompt=literal(scene.caption) if words else "", seed=sampling.seed + i)
        for i, scene in enumerate(scenes)
    ]
    if layout:
        told = {"ours": [laid_out(layout, each) for each in true]}
    else:
        controls = [_shown_to(makers, maps, i) for i in range(count)]
        told = {
            part: [{"controls": tuple(each * weight for each in some)} for some in controls]
            for part, weight in (("ours", 1.0), *((at(weight), weight) for weight in weights))
        }
    asked = {"floor": recipes} | {
        part: [replace(recipe, **fields) for recipe, fields in zip(recipes, some, strict=True)]
        for part, some in told.items()
    }
    pictures = {"estimator": [each.picture for each in true]}
    copies = through(pipe.stages[-1].space, to_tensor(pictures["estimator"]))
    pictures["ceiling"] = to_images(copies)
    with progress("painting", len(asked) * count) as advance:
        for part, some in asked.items():
            pictures[part] = []
            for recipe in some:  # one at a time, as maps differ: without a control too, so that the rest is the same
                pictures[part] += pipe.run([recipe]).images
                advance(1)
    rows, parts = [], (*PARTS, *map(at, weights))
    for kind, truth in zip(kinds, truths, strict=True):
        read = {part: [kind.read(image.convert("RGB")) for image in pictures[part]] for part in parts}
        rows += rows_of(kind, read, truth)
    settings = {
        "model": pipe.name,
        "count": count,
        "split": split,
        "size": width,
        "words": words,
        "weights": list(weights),
        **vars(sampling),
    }
    shown = [
        [pictures["estimator"][i], *(some[i] for some in maps), *(pictures[part][i] for part in asked)]
        for i in range(min(count, 16))
    ]
    fid = {part: fid_of(pictures[part], pictures["estimator"]) for part in parts if part != "estimator"}
    return Adherence(settings, rows, fid, shown, time.perf_counter() - began)


def kind_of(control: Any) -> ControlMap | Likeness:
    """What a control is shown: the kind of map that it says, or of one that has none the picture itself."""
    return getattr(control, "map", None) or Likeness()


def rows_of(kind: ControlMap | Likeness, read: dict[str, list[np.ndarray]], truth: Sequence[np.ndarray]) -> list[Row]:
    """The metrics of a kind of map, of what was read in each part against the truth."""
    name = kind.name if isinstance(kind, Likeness) else ControlMap.registry.name(kind)
    rows = []
    for key, metric in metrics_of(kind.shows).items():
        counts = {part: [metric.count(f, t) for f, t in zip(found, truth, strict=True)] for part, found in read.items()}
        rows.append(Row(name, key, metric, {part: metric.figure(some) for part, some in counts.items()}))
    return rows


def fid_of(pictures: Sequence[Image.Image], true: Sequence[Image.Image]) -> float:
    """The Frechet distance of two sets on the built-in features of vignettes; NaN of fewer than five pictures."""
    from sfumato.evaluate.features import features
    from sfumato.evaluate.features.extractor import POOL

    if len(pictures) < 5:
        return float("nan")
    extract = features("vignettes-features")
    ours, theirs = (Moments.of(extract(to_tensor(some))[POOL].numpy()) for some in (pictures, true))
    return float(frechet(ours, theirs))


def _found(maker: Any, control: Any, model: str) -> Any:
    """The maker of controls, which say where their network is: in a folder that has one for each kind of map, that of
    theirs, which the map itself doesn't say. Raises BadInput where there is no network."""
    folder = place_of(control.net, control.part, model, getattr(control, "kind_of_map", ""))
    return lambda picture: replace(maker(picture), net=str(folder))


def _shown_to(makers: Sequence[Any], maps: Sequence[Sequence[Image.Image]], index: int) -> tuple[Control, ...]:
    """The controls of picture `index`, each shown the map of the truth as it is, an image prompt the picture; a union
    is told its kind."""
    found = []
    for maker, some in zip(makers, maps, strict=True):
        control = maker(keep_for_now(some[index]))
        if kind := getattr(control, "kind_of_map", ""):
            told = {"mode": kind} if getattr(control, "mode", 0) is None else {}
            control = replace(control, map=None, **told)
        found.append(control)
    return tuple(found)
