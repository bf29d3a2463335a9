"""Six controls of one drawing, after the thesis "Conditioning diffusion models for image manipulation", section 4.2.4
(experiment 1, ControlNet)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image
from pydantic import Field

from sfumato.control import ControlMap, make_map
from sfumato.data import vignettes
from sfumato.element import Listed, Real, Whole, element
from sfumato.evaluate.attributes import through
from sfumato.evaluate.map_metric import MapMetric, metrics_of
from sfumato.evaluate.metrics.pixel import ssim
from sfumato.evaluate.statistics import Figure, mean
from sfumato.picture import BadInput, keep_for_now, open_picture
from sfumato.recipe.prompt import literal
from sfumato.space.pixels import to_images, to_tensor
from sfumato.study.control_nets import Net, how_to_train, nets_for
from sfumato.study.measured_samples import StampedName
from sfumato.study.pictures import recipe_for
from sfumato.study.study import STUDIES, Cell, Drawing, Model, Report, Result, Study, Tick
from sfumato.study.style import BLUE, RED, SMOKE, SOFT, bare, panels, strips

KINDS = ("canny", "depth", "normal", "openpose", "lineart", "softedge")
"""The thesis' six, in its order."""
DRAWING = (7, 11)  # seed and index of a woman, drawn here as a pencil sketch
WITHOUT = "without"


@element
class SketchSettings:
    """drawing: a picture, or "" for a sketch of the built-in world. prompt: of all pictures. kinds: of maps. nets: the
    network of each, KIND=FOLDER. each: pictures of each, with seeds of their own. weight: of the control."""

    drawing: str = Field(default="", description="the path of a picture, or nothing")
    prompt: str = Field(default="a painting of a woman", description="words")
    kinds: Listed[str] = Field(default=KINDS, min_length=1, max_length=20, description="a list of kinds of maps")
    nets: Listed[str] = Field(default=(), max_length=20, description="a list of KIND=FOLDER")
    each: Whole = Field(default=8, ge=1, le=1000, description="a whole number from 1")
    steps: Whole = Field(default=20, ge=1, le=1000, description="a whole number from 1 to 1000")
    guidance: Real = Field(default=5.0, ge=0, le=1000, description="a number from 0, where 1 is off")
    weight: Real = Field(default=1.0, ge=-10, le=10, description="a number from -10 to 10, where 0 is off")
    seed: Whole = Field(default=0, ge=0, le=2**31, description="a whole number")


def cells(s: SketchSettings, model: Model | None) -> Sequence[Cell]:
    if model is None:
        raise BadInput("Say which model paints, as --model mini.")
    kinds = {kind: ControlMap.registry.named(kind) for kind in s.kinds}
    found = nets_for(s.kinds, s.nets, model)
    drawing = StampedName.named(s.drawing) if s.drawing else None
    told = {"model": model, "drawing": drawing, "prompt": s.prompt, "steps": s.steps, "guidance": s.guidance,
            "each": s.each, "seed": s.seed}  # fmt: skip
    painted = [Cell(WITHOUT, paint, {**told, "kind": "", "net": None, "weight": 0.0})]
    painted += [
        Cell(kind, paint, {**told, "kind": kind, "net": net, "weight": s.weight}) for kind, net in found.items()
    ]
    seen = Cell("drawing", prepare, {"model": model, "drawing": drawing, "kinds": tuple(kinds)})
    return [
        seen,
        *painted,
        *(Cell(f"{c.name}, measured", measure, {"kinds": tuple(kinds)}, (seen.name, c.name)) for c in painted),
    ]


def drawn(drawing: StampedName | None, size: tuple[int, int]) -> Image.Image:
    """The drawing at the model's size: the one that was named, or a woman of the built-in world as a pencil sketch."""
    from PIL import ImageOps

    if drawing is not None:
        return ImageOps.fit(open_picture(drawing.name).convert("RGB"), size, Image.Resampling.LANCZOS)
    plain = next(
        scene
        for scene in (vignettes.scene(DRAWING[0], i) for i in range(DRAWING[1], 10_000))
        if scene["subject"] == "woman" and scene["mask"] == "none"
    )
    sketch = plain.with_attributes(style="pencil sketch", light="day")
    picture = vignettes.draw(sketch, max(size), truth=False).image
    return ImageOps.fit(Image.fromarray(picture), size, Image.Resampling.LANCZOS)


def prepare(tick: Tick, model: Model, drawing: StampedName | None, kinds: tuple[str, ...]) -> Result:
    """The drawing, what the model's autoencoder leaves of it, and its maps (the thesis' figure 4.4)."""
    pipe = model.load()
    picture = drawn(drawing, pipe.size)
    coded = to_images(through(pipe.stages[-1].space, to_tensor([picture])))[0]
    maps = []
    for i, kind in enumerate(kinds):
        maps.append(np.asarray(make_map(picture, kind)))
        tick(i + 1, len(kinds))
    return {"picture": np.asarray(picture), "coded": np.asarray(coded.convert("RGB")), "maps": np.stack(maps)}


def paint(
    tick: Tick, model: Model, drawing: StampedName | None, prompt: str, kind: str, net: Net | None, weight: float,
    each: int, steps: int, guidance: float, seed: int,
) -> Result:  # fmt: skip
    """Pictures of the words alone, or shown the drawing's map of that kind at all times (figure 4.5)."""
    pipe = model.load()
    plain = recipe_for(pipe, guidance, seed, steps)
    if pipe.capabilities.text:
        plain = replace(plain, prompt=literal(prompt))
    if net is not None:
        shown = keep_for_now(make_map(drawn(drawing, pipe.size), kind))
        plain = replace(plain, controls=(net.shown(shown, weight),))
    pictures = []
    for i in range(each):
        pictures += pipe.run(replace(plain, seed=seed + i)).images
        tick(i + 1, each)
    return {"pictures": np.stack([np.asarray(picture.convert("RGB")) for picture in pictures])}


def measure(tick: Tick, seen: Result, painted: Result, kinds: tuple[str, ...]) -> Result:
    """How far the pictures are from the drawing: the metrics of each kind of map, read in both, as (value, low, high);
    and SSIM. Beside them what the autoencoder leaves of the drawing."""
    pictures, found = list(painted["pictures"]), {}
    for i, name in enumerate(kinds):
        kind = ControlMap.registry.named(name)
        truth, coded, *read = (kind.read(Image.fromarray(a)) for a in (seen["picture"], seen["coded"], *pictures))
        for key, metric in metrics_of(kind.shows).items():
            counts = [metric.count(one, truth) for one in read]
            found[f"{name}: {key}"] = _three(metric.figure(counts))
            found[f"{name}: {key}, coded"] = np.array(metric.value(metric.count(coded, truth)))
        tick(i + 1, len(kinds))
    whole, coded, picture = (to_tensor([Image.fromarray(a) for a in some])
                             for some in (pictures, [seen["coded"]], [seen["picture"]]))  # fmt: skip
    found["ssim"] = _three(mean(ssim(whole, picture.expand_as(whole)).numpy()))
    found["ssim, coded"] = ssim(coded, picture).numpy()[0]
    return found


def _three(figure: Figure) -> np.ndarray:
    return np.array([figure.value, figure.low, figure.high])


def first_metric(kind: str) -> tuple[str, MapMetric]:
    """The metric by which a kind of map is compared in the figures: the first, of edges within 2 pixels."""
    metrics = metrics_of(ControlMap.registry.named(kind).shows)
    name = "edge-f1-2" if "edge-f1-2" in metrics else next(iter(metrics))
    return name, metrics[name]


def closed(kind: str, found: Result, without: Result) -> float:
    """How much of the way from the pictures without a control to what the autoencoder leaves of the drawing itself the
    pictures go, by the map of that kind; NaN where there is no way."""
    key = f"{kind}: {first_metric(kind)[0]}"
    floor, ours, ceiling = float(without[key][0]), float(found[key][0]), float(found[f"{key}, coded"])
    return (ours - floor) / (ceiling - floor) if ceiling != floor else float("nan")


def draw(s: SketchSettings, results: Mapping[str, Result]) -> Report:
    obeyed = [kind for kind in s.kinds if kind in results]
    missing = [kind for kind in s.kinds if kind not in results]
    measured = {name: results[f"{name}, measured"] for name in (WITHOUT, *obeyed)}
    without = measured[WITHOUT]
    rows = []
    for name in (WITHOUT, *obeyed):
        for kind in s.kinds:
            for key, metric in metrics_of(ControlMap.registry.named(kind).shows).items():
                value, low, high = (float(v) for v in measured[name][f"{kind}: {key}"])
                whole = f"{kind}: {key}"
                row: dict[str, Any] = {"control": name, "map": kind, "metric": metric.title, "value": value,
                                       "value low": low, "value high": high, "without": float(without[whole][0]),
                                       "drawing, coded": float(without[f"{whole}, coded"])}  # fmt: skip
                rows.append(row)
        value, low, high = (float(v) for v in measured[name]["ssim"])
        rows.append({"control": name, "map": "the drawing", "metric": "SSIM", "value": value, "value low": low,
                     "value high": high, "without": float(without["ssim"][0]),
                     "drawing, coded": float(without["ssim, coded"])})  # fmt: skip
    seen = results["drawing"]
    maps = np.stack([seen["picture"], *seen["maps"]])[None]
    drawings = [
        Drawing("maps", strips(maps, [""], ["drawing", *s.kinds], left=0.2, smooth=True), "The drawing and its maps.")
    ]
    shown = min(s.each, 6)
    columns = [np.stack([seen["picture"]] * shown)]
    columns += [results[name]["pictures"][:shown] for name in (*obeyed, WITHOUT)]
    drawings.append(
        Drawing(
            "results",
            strips(
                np.stack(columns, 1), [f"seed {s.seed + i}" for i in range(shown)], ["drawing", *obeyed, WITHOUT],
                left=0.8, smooth=True,
            ),
            f"“{s.prompt}”, each column shown one map of the drawing, the last none; the same seeds.",
        )
    )  # fmt: skip
    if obeyed:
        said = (
            "Each row is shown one map. Left: how much of the way from no control (0) to the drawing itself, through "
            "the autoencoder (1), by each map that is read in the results. Right: likeness to the drawing, with 95 % "
            "intervals."
        )
        drawings.append(Drawing("deviations", _deviations(s, obeyed, measured), said))
    found = [_said(kind, measured[kind], without) for kind in obeyed]
    if len(obeyed) > 1:
        order = sorted(obeyed, key=lambda kind: -float(measured[kind]["ssim"][0]))
        found.append(f"Nearest to the drawing by SSIM: {', '.join(order)}.")
    return Report(drawings, rows, [*found, *([how_to_train(missing)] if missing else [])])


def _said(kind: str, found: Result, without: Result) -> str:
    name, metric = first_metric(kind)
    key, share = f"{kind}: {name}", closed(kind, found, without)
    way = "" if np.isnan(share) else f", {100 * share:.0f} % of the way"
    return (
        f"Shown {kind}: {metric.title} {float(found[key][0]):.3g} against {float(without[key][0]):.3g} without and "
        f"{float(found[f'{key}, coded']):.3g} of the drawing itself{way}; SSIM with the drawing "
        f"{float(found['ssim'][0]):.3f} against {float(without['ssim'][0]):.3f}."
    )


def _deviations(s: SketchSettings, obeyed: Sequence[str], measured: Mapping[str, Result]) -> Any:
    figure, axes = panels(1, 2, 1.3 + 0.42 * len(obeyed), width_ratios=(2, 1))
    left, right = axes[0]
    shares = np.array([[closed(kind, measured[name], measured[WITHOUT]) for kind in s.kinds] for name in obeyed])
    bare(left).imshow(np.clip(shares, 0, 1), cmap=SMOKE, vmin=0, vmax=1, aspect="auto")
    left.set(title="of the way to the drawing, by", xticks=range(len(s.kinds)), yticks=range(len(obeyed)))
    left.set_xticklabels(s.kinds)
    left.set_yticklabels([f"shown {name}" for name in obeyed])
    for (i, j), share in np.ndenumerate(shares):
        words = "-" if np.isnan(share) else f"{share:.2f}"
        left.text(j, i, words, ha="center", va="center", color="white" if share > 0.5 else SOFT)
    values = np.array([measured[name]["ssim"] for name in obeyed])
    floor, places = float(measured[WITHOUT]["ssim"][0]), np.arange(len(obeyed))
    errors = np.nan_to_num(values[:, 2] - values[:, 0])
    right.barh(places, values[:, 0], xerr=errors, color=BLUE, height=0.6, error_kw={"lw": 0.9, "ecolor": SOFT})
    right.axvline(floor, color=RED, lw=1)
    right.set(title="SSIM with the drawing (red: none shown)", yticks=places, yticklabels=obeyed)
    right.invert_yaxis()
    return figure


STUDY = Study(
    title="Six controls of one drawing",
    summary="a drawing as six maps, and what is painted from each: deviations from its map and from the drawing",
    source="the thesis Conditioning diffusion models for image manipulation, section 4.2.4 (experiment 1, ControlNet)",
    about="A drawing is pre-processed into six maps (edges, depth, normals, a skeleton, lines, soft edges), and one "
    "network for each, active at all times, is shown its map and nothing else of the drawing, beside the same words. "
    "Each result is read by every map again and compared with the drawing, between the pictures without a control (the "
    "floor) and the drawing itself as far as the autoencoder can show it.",
    see=(
        "The reproduced picture should match the map that was shown: the diagonal of the last figure.",
        "Edges (canny, lineart, softedge) keep closest to the drawing; openpose lets it deviate most, since each map "
        "has but one side of the drawing.",
    ),
    full=SketchSettings(),
    quick=SketchSettings(each=2, steps=8),
    cells=cells,
    draw=draw,
    model="mini",
    takes=Model.named,
)
STUDIES.add("sketch", STUDY)
