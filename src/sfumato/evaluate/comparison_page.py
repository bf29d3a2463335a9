"""A comparison as one page that needs nothing else, as JSON, and as a table for the terminal."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from rich.table import Table

from sfumato.evaluate.comparison import Comparison, Measurement
from sfumato.evaluate.features.extractor import POOL
from sfumato.evaluate.html_page import TEMPLATES, render
from sfumato.evaluate.metrics.manifold import coverage_of_equals
from sfumato.evaluate.pictures import Pictures
from sfumato.picture.files import encode_png, write_atomically

SHOWN, COLUMNS, SIDE = 32, 8, 72
LEFT, WIDTH = 190, 520  # of the bars, in units of their drawing


def write_comparison(comparison: Comparison, out: Path) -> None:
    """report.json and report.html into `out`."""
    write_atomically(out / "report.json", (json.dumps(comparison.to_dict(), indent=1) + "\n").encode())
    write_atomically(out / "report.html", page(comparison).encode())


def page(comparison: Comparison) -> str:
    """The report as HTML: metrics with intervals and features, bars, samples of both sets, nearest neighbours."""
    report, generated, real = comparison.to_dict(), comparison.generated, comparison.real
    settings = [f"{key} {value}" for key, value in report["settings"].items() if value not in (None, "")]
    versions = [f"{name} {version}" for name, version in report["versions"].items()]
    return render(
        TEMPLATES / "comparison.html",
        title=f"{generated.name} against {real.name}",
        subtitle=f"{len(generated)} pictures of {generated.size[0]} x {generated.size[1]} against {len(real)}.",
        metrics=[(*_cells(each), each.metric.source) for each in comparison.measurements],
        intervals=intervals(comparison),
        bars=_bars(comparison),
        generated=_grid(generated),
        real=_grid(real),
        neighbours=_neighbours(comparison),
        neighbours_by=comparison.extractors[0].name if comparison.extractors else "",
        features=[tuple(each.values()) for each in report["features"]],
        settings=", ".join(settings),
        versions=f"{', '.join(versions)}; {report['seconds']:.0f} seconds.",
    )


def comparison_table(comparison: Comparison) -> Table:
    """The metrics for the terminal."""
    view = Table(
        title=f"{comparison.generated.name} against {comparison.real.name}",
        caption=f"{len(comparison.generated)} pictures against {len(comparison.real)}. {intervals(comparison)}",
    )
    for column, side in (("metric", "left"), ("value", "right"), ("95 %", "right")):
        view.add_column(column, justify=side, no_wrap=True)  # pyright: ignore[reportArgumentType]
    view.add_column("features", overflow="fold")
    for each in comparison.measurements:
        title, value, between, better, features = _cells(each)
        view.add_row(f"{title} {'↓' if better == 'lower' else '↑'}", value, between, features)
    return view


def intervals(comparison: Comparison) -> str:
    """What the intervals say and what a reader should know of these numbers."""
    count, reference = len(comparison.generated), len(comparison.real)
    notes = [
        "Intervals: how much other pictures of the same number, against the same reference, would change the number."
    ]
    if any(each.name == "coverage" for each in comparison.measurements):
        most = coverage_of_equals(count, reference)
        notes.append(f"At these counts equal distributions have a coverage of {most:.2f}.")
    for extract, rank in ((e.name, e.widths(comparison.generated.size)[POOL]) for e in comparison.extractors):
        if count <= rank:
            notes.append(
                f"With {count} pictures and {rank} features by {extract} FID is far too high: compare it at equal "
                "counts alone, or take more pictures than features."
            )
    return " ".join(notes)


def shown(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4g}"


def _cells(each: Measurement) -> tuple[str, str, str, str, str]:
    figure, metric = each.figure, each.metric
    between = "" if math.isnan(figure.low) else f"{shown(figure.low)} to {shown(figure.high)}"
    return metric.title, shown(figure.value), between, metric.better, each.features


def _bars(comparison: Comparison) -> list[dict[str, Any]]:
    """Precision, recall, density, coverage and their like, better the higher and 0 at worst, as bars from 0 to 1, or to
    the largest, with their intervals."""
    rows = [each for each in comparison.measurements if each.metric.better == "higher" and each.metric.within[0] == 0]
    ends = [end for each in rows for end in (each.figure.value, each.figure.high) if not math.isnan(end)]
    scale = WIDTH / max([1.0, *ends])
    bars = []
    for each in rows:
        figure = each.figure
        label = each.name if len(comparison.extractors) < 2 else f"{each.name}, {each.features}"
        whisker = [f"{LEFT + scale * max(end, 0.0):.1f}" for end in (figure.low, figure.high)]
        bars.append(
            {
                "label": label[:28],
                "length": f"{scale * figure.value:.1f}",
                "whisker": None if math.isnan(figure.low) else whisker,
                "value": shown(figure.value),
            }
        )
    return bars


def _neighbours(comparison: Comparison) -> bytes | None:
    """Rows of a generated picture and its nearest real ones."""
    if not comparison.neighbours:
        return None
    images = []
    for i, near in enumerate(comparison.neighbours):
        images += [comparison.generated.read(i), *(comparison.real.read(j) for j in near)]
    return _sheet(images, 1 + len(comparison.neighbours[0]))


def _grid(pictures: Pictures) -> bytes:
    """Pictures evenly spread over the set."""
    count = min(SHOWN, len(pictures))
    return _sheet([pictures.read(i * len(pictures) // count) for i in range(count)], COLUMNS)


def _sheet(images: Sequence[Image.Image], columns: int) -> bytes:
    from sfumato.model.result import sheet

    return encode_png(sheet([_small(image) for image in images], columns, gap=3))


def _small(image: Image.Image) -> Image.Image:
    """At SIDE pixels; enlarged ones keep their pixels sharp."""
    scale = SIDE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.convert("RGB").resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS)
