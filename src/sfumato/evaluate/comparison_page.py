"""A comparison as one page that needs nothing else, and as a table for the terminal."""

from __future__ import annotations

import base64
import json
import math
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from sfumato.evaluate.features.extractor import POOL
from sfumato.evaluate.metrics.manifold import coverage_of_equals
from sfumato.evaluate.statistics import Figure
from sfumato.picture.files import encode_png, write_atomically

if TYPE_CHECKING:
    from rich.table import Table

    from sfumato.evaluate.comparison import Comparison, Measurement

SHOWN, COLUMNS, SIDE = 32, 8, 72
BARS = ("precision", "recall", "density", "coverage")
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
 body {{ font: 16px/1.5 Georgia, "Times New Roman", serif; color: #23272e; background: #fff;
        max-width: 62rem; margin: 2.4rem auto; padding: 0 1.2rem; overflow-wrap: anywhere }}
 h1 {{ font-size: 1.8rem; font-weight: normal; margin: 0 0 .2rem }} h2 {{ font-size: 1.1rem; margin: 2rem 0 .5rem }}
 .quiet, figcaption, footer {{ color: #717883; font-size: .9rem }}
 .row {{ display: flex; flex-wrap: wrap; gap: 1.6rem }} figure {{ margin: 0; flex: 1 1 22rem }}
 img {{ max-width: 100%; height: auto; image-rendering: auto }} .wide {{ overflow-x: auto }}
 table {{ border-collapse: collapse; font: 14px/1.4 system-ui, sans-serif; font-variant-numeric: tabular-nums }}
 th {{ text-align: left; border-bottom: 1px solid #23272e }} td {{ border-bottom: 1px solid #e4e5e8 }}
 th, td {{ padding: .26rem 1rem .26rem 0; white-space: nowrap }}
 th:first-child, td:first-child {{ position: sticky; left: 0; background: #fff }}
</style></head><body>
<h1>{title}</h1>
<p class="quiet">{counts}</p>
<h2>Measures</h2>
<div class="wide">{table}</div>
<p class="quiet">{intervals}</p>
{bars}
<h2>Pictures</h2>
<div class="row">{grids}</div>
{neighbours}
<h2>How</h2>
<div class="wide">{features}</div>
<p class="quiet">{settings}</p>
<footer><p>{versions}</p></footer>
</body></html>
"""


def page(comparison: Comparison) -> str:
    """The report as HTML: measures with intervals and features, bars, samples of both sets, nearest neighbours."""
    report, generated, real = comparison.to_dict(), comparison.generated, comparison.real
    settings = ", ".join(f"{key} {value}" for key, value in report["settings"].items() if value not in (None, ""))
    return PAGE.format(
        title=escape(f"{generated.name} against {real.name}"),
        counts=escape(f"{len(generated)} pictures of {generated.size[0]} x {generated.size[1]} against {len(real)}."),
        table=_measures(comparison),
        intervals=escape(intervals(comparison)),
        bars=_bars(comparison),
        grids=_figure(_grid(generated), "generated") + _figure(_grid(real), "the reference"),
        neighbours=_neighbours(comparison),
        features=_table(
            ("features", "a picture is taken", "fingerprint"), [tuple(f.values()) for f in report["features"]]
        ),
        settings=escape(settings),
        versions=escape(
            ", ".join(f"{name} {said}" for name, said in report["versions"].items())
            + f"; {report['seconds']:.0f} seconds."
        ),
    )


def table(comparison: Comparison) -> Table:
    """The measures for the terminal."""
    from rich.table import Table

    view = Table(
        title=f"{comparison.generated.name} against {comparison.real.name}",
        caption=f"{len(comparison.generated)} pictures against {len(comparison.real)}. {intervals(comparison)}",
    )
    for column, side in (("measure", "left"), ("value", "right"), ("95 %", "right")):
        view.add_column(column, justify=side, no_wrap=True)  # pyright: ignore[reportArgumentType]
    view.add_column("features", overflow="fold")
    for each in comparison.measurements:
        title, value, between, better, features = _cells(each)
        view.add_row(f"{title} {'↓' if better == 'lower' else '↑'}", value, between, features)
    return view


def intervals(comparison: Comparison) -> str:
    """What the intervals say and what a reader should know of these numbers."""
    notes = (
        "Intervals: how much other pictures of the same number, against the same reference, would change the number."
    )
    if any(each.name == "coverage" for each in comparison.measurements):
        most = coverage_of_equals(len(comparison.generated), len(comparison.real))
        notes += f" At these counts equal distributions have a coverage of {most:.2f}."
    for extract, rank in ((e.name, e.widths(comparison.generated.size)[POOL]) for e in comparison.extractors):
        if len(comparison.generated) <= rank:
            notes += (
                f" With {len(comparison.generated)} pictures and {rank} features by {extract} FID is far too high: "
                f"compare it at equal counts alone, or take more pictures than features."
            )
    return notes


def shown(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4g}"


def _cells(each: Measurement) -> tuple[str, str, str, str, str]:
    figure, metric = each.figure, each.metric
    between = "" if math.isnan(figure.low) else f"{shown(figure.low)} to {shown(figure.high)}"
    return metric.title, shown(figure.value), between, metric.better, each.features


def _measures(comparison: Comparison) -> str:
    rows = [(*_cells(each), each.metric.source) for each in comparison.measurements]
    return _table(("measure", "value", "95 %", "better", "features", "source"), rows)


def _table(head: tuple[str, ...], rows: list[tuple]) -> str:
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"


def _bars(comparison: Comparison) -> str:
    """Precision, recall, density and coverage as bars from 0 to 1 with their intervals."""
    rows = [each for each in comparison.measurements if each.name in BARS]
    if not rows:
        return ""
    width, height, left = 520, 26, 190
    top = max(1.0, *(end for each in rows for end in (each.figure.value, each.figure.high) if not math.isnan(end)))
    parts = []
    for i, each in enumerate(rows):
        y, figure = i * height, each.figure
        label = each.name if len(comparison.extractors) == 1 else f"{each.name}, {each.features}"
        parts += [
            f'<text x="0" y="{y + 17}" font-size="13">{escape(label[:28])}</text>',
            f'<rect x="{left}" y="{y + 5}" width="{width * figure.value / top:.1f}" height="15" fill="#6d8fb3"/>',
            _whisker(figure, left, width / top, y + 12.5),
            f'<text x="{left + width + 8}" y="{y + 17}" font-size="13">{shown(figure.value)}</text>',
        ]
    view = f"0 0 {left + width + 60} {len(rows) * height}"
    style = "min-width:30rem;max-width:48rem;font-family:system-ui"
    drawing = f'<svg viewBox="{view}" role="img" style="{style}">{"".join(parts)}</svg>'
    return f'<h2>Where the sets overlap</h2><div class="wide">{drawing}</div>'


def _whisker(figure: Figure, left: float, scale: float, y: float) -> str:
    if math.isnan(figure.low):
        return ""
    a, b = (left + scale * max(x, 0.0) for x in (figure.low, figure.high))
    return f'<path d="M{a:.1f} {y}H{b:.1f}M{a:.1f} {y - 4}v8M{b:.1f} {y - 4}v8" stroke="#23272e" fill="none"/>'


def _neighbours(comparison: Comparison) -> str:
    if not comparison.neighbours:
        return ""
    rows = []
    for i, near in enumerate(comparison.neighbours):
        rows += [comparison.generated.read(i), *(comparison.real.read(j) for j in near)]
    columns = 1 + len(comparison.neighbours[0])
    caption = f"left: generated; right of it the nearest of the reference, by {comparison.extractors[0].name}"
    return "<h2>Nearest neighbours</h2>" + _figure(_sheet(rows, columns), caption)


def _grid(pictures) -> Image.Image:
    """Pictures evenly spread over the set."""
    count = min(SHOWN, len(pictures))
    return _sheet([pictures.read(i * len(pictures) // count) for i in range(count)], COLUMNS)


def _sheet(images: list[Image.Image], columns: int) -> Image.Image:
    from sfumato.model.result import sheet

    return sheet([_small(image) for image in images], columns, gap=3)


def _small(image: Image.Image) -> Image.Image:
    """At SIDE pixels; enlarged ones keep their pixels sharp."""
    scale = SIDE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.convert("RGB").resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS)


def _figure(image: Image.Image, caption: str) -> str:
    data = base64.b64encode(encode_png(image)).decode()
    said = escape(caption)
    return f'<figure><img src="data:image/png;base64,{data}" alt="{said}"><figcaption>{said}</figcaption></figure>'


def write(comparison: Comparison, out: Path) -> None:
    """report.json and report.html into `out`."""
    write_atomically(out / "report.json", (json.dumps(comparison.to_dict(), indent=1) + "\n").encode())
    write_atomically(out / "report.html", page(comparison).encode())
