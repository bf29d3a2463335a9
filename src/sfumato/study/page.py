"""What a study leaves: figures, table.csv, and one page that needs nothing else."""

from __future__ import annotations

import base64
import csv
import io
import platform
from collections.abc import Mapping, Sequence
from html import escape
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sfumato.picture.files import write_atomically
from sfumato.study.cell_cache import Results
from sfumato.study.study import Report, Study

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
 body {{ font: 16px/1.55 Georgia, "Times New Roman", serif; color: #23272e; background: #fff;
        max-width: 62rem; margin: 3rem auto; padding: 0 1.2rem; overflow-wrap: anywhere }}
 h1 {{ font-size: 2rem; font-weight: normal; margin: 0 0 .2rem }}
 h2 {{ font-size: 1.15rem; margin: 2.4rem 0 .6rem }}
 p, ul {{ max-width: 46rem }}
 .quiet, figcaption, footer {{ color: #717883; font-size: .92rem }}
 figure {{ margin: 2rem 0 }} img {{ max-width: 100%; height: auto }}
 .wide {{ overflow-x: auto }}
 table {{ border-collapse: collapse; font: 13px/1.4 system-ui, sans-serif; font-variant-numeric: tabular-nums }}
 th {{ text-align: left; border-bottom: 1px solid #23272e }} td {{ border-bottom: 1px solid #e4e5e8 }}
 th, td {{ padding: .28rem .9rem .28rem 0; white-space: nowrap }}
 th:first-child, td:first-child {{ position: sticky; left: 0; background: #fff }}
 code {{ font-size: .88rem }}
</style></head><body>
<h1>{title}</h1>
<p class="quiet">{source}</p>
<p>{about}</p>
<h2>What to see</h2>
<ul>{see}</ul>
{found}
{figures}
<h2>The table</h2>
<div class="wide">{table}</div>
<h2>What was run</h2>
<pre class="wide"><code>{command}</code></pre>
<div class="wide">{settings}</div>
<footer><p>{made}</p></footer>
</body></html>
"""


def write(folder: Path, study: Study, report: Report, command: str, asked: Mapping[str, Any], results: Results) -> Path:
    """Writes every figure, table.csv and index.html into `folder`; returns the page's path.

    command: what makes the page again. asked: the model and the settings that it was run with.
    """
    figures = []
    for drawing in report.figures:
        buffer = io.BytesIO()
        drawing.figure.savefig(buffer, format="png", metadata={"Software": None})
        write_atomically(folder / f"{drawing.name}.png", buffer.getvalue())
        source = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
        caption = escape(drawing.caption)
        figures.append(f'<figure><img src="{source}" alt="{caption}"><figcaption>{caption}</figcaption></figure>')
    write_atomically(folder / "table.csv", _csv(report.rows).encode())
    text = PAGE.format(
        title=escape(study.title),
        source=escape(study.source),
        about=escape(study.about),
        see=_items(study.see),
        found=f"<h2>What this run found</h2><ul>{_items(report.found)}</ul>" if report.found else "",
        figures="\n".join(figures),
        table=_table(report.rows),
        command=escape(command),
        settings=_table([{"setting": key, "value": _shown(value)} for key, value in asked.items()]),
        made=escape(
            f"sfumato {version('sfumato')}, torch {version('torch')}, Python {platform.python_version()}; "
            f"{len(results)} cells, {_duration(results.seconds)}."
        ),
    )
    write_atomically(folder / "index.html", text.encode())
    return folder / "index.html"


def _items(sentences: Sequence[str]) -> str:
    return "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, _columns(rows), lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    rows = [_joined(row) for row in rows]
    columns = _columns(rows)
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(_shown(row.get(c, '')))}</td>" for c in columns) + "</tr>" for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _joined(row: Mapping[str, Any]) -> dict[str, Any]:
    """A figure and its interval, three columns of the file, as one: 0.71 (0.03 to 1.39)."""
    ends = {end: (f"{end} low", f"{end} high") for end in row if f"{end} low" in row}
    inside = {name for pair in ends.values() for name in pair}
    between = {name: "{} ({} to {})".format(*(_shown(row[n]) for n in (name, *pair))) for name, pair in ends.items()}
    return {name: between.get(name, value) for name, value in row.items() if name not in inside}


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """In the order of the fullest rows: what tells them apart comes first, though a row of few figures stand above."""
    return list(dict.fromkeys(column for row in sorted(rows, key=len, reverse=True) for column in row))


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, tuple | list):
        return ", ".join(_shown(each) for each in value)
    return str(value)


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} seconds" if seconds < 100 else f"{seconds / 60:.1f} minutes"
