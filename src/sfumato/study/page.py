"""What a study leaves: figures, table.csv, and one page that needs nothing else."""

from __future__ import annotations

import csv
import io
import math
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sfumato.evaluate.html_page import render
from sfumato.picture.files import write_atomically
from sfumato.study.cell_cache import Results
from sfumato.study.study import Report, Study

TEMPLATE = Path(__file__).parent / "templates" / "study.html"


def write_page(
    folder: Path, study: Study, report: Report, command: str, asked: Mapping[str, Any], results: Results
) -> Path:
    """Writes every figure, table.csv and index.html into `folder`; returns the page's path.

    command: what makes the page again. asked: the model and the settings that it was run with.
    """
    figures = []
    for drawing in report.figures:
        buffer = io.BytesIO()
        drawing.figure.savefig(buffer, format="png", metadata={"Software": None})
        write_atomically(folder / f"{drawing.name}.png", buffer.getvalue())
        figures.append((buffer.getvalue(), drawing.caption))
    write_atomically(folder / "table.csv", _csv(report.rows).encode())
    columns, rows = _cells(report.rows)
    text = render(
        TEMPLATE,
        title=study.title,
        subtitle=study.source,
        about=study.about,
        see=study.see,
        found=report.found,
        figures=figures,
        columns=columns,
        rows=rows,
        command=command,
        settings=[(key, _shown(value)) for key, value in asked.items()],
        versions=f"sfumato {version('sfumato')}, torch {version('torch')}, Python {platform.python_version()}; "
        f"{len(results)} cells, {_duration(results.seconds)}.",
    )
    write_atomically(folder / "index.html", text.encode())
    return folder / "index.html"


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, _columns(rows), lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _cells(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """The columns of the page's table, and its rows as words."""
    joined = [_joined(row) for row in rows]
    columns = _columns(joined)
    return columns, [[_shown(row.get(column, "")) for column in columns] for row in joined]


def _joined(row: Mapping[str, Any]) -> dict[str, Any]:
    """A figure and its interval, three columns of the file, as one: 0.71 (0.03 to 1.39); 0.71 where none is known."""
    ends = {end: (f"{end} low", f"{end} high") for end in row if f"{end} low" in row}
    inside = {name for pair in ends.values() for name in pair}
    joined = {name: value for name, value in row.items() if name not in inside}
    for name, (low, high) in ends.items():
        if not math.isnan(row[low]):
            joined[name] = f"{_shown(row[name])} ({_shown(row[low])} to {_shown(row[high])})"
    return joined


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """In the order of the fullest rows: what tells them apart comes first, though a row of few figures stand above."""
    return list(dict.fromkeys(column for row in sorted(rows, key=len, reverse=True) for column in row))


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.4g}"
    if isinstance(value, tuple | list):
        return ", ".join(_shown(each) for each in value)
    return str(value)


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} seconds" if seconds < 100 else f"{seconds / 60:.1f} minutes"
