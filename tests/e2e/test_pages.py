"""The pages that studies and evaluations write, looked at in a browser."""

from __future__ import annotations

import html
import json
import math
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from PIL import Image

from sfumato import study
from sfumato.data import vignettes
from sfumato.evaluate import compare
from sfumato.study import page
from sfumato.study.cell_cache import CellCache, Results
from sfumato.study.study import Drawing, Report, Study

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "headless_shell")
ALONE = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--hide-scrollbars", "--dump-dom",
)  # fmt: skip
LOOK = """<script>
const wrong = []; addEventListener("error", event => wrong.push(event.message));
addEventListener("load", () => document.title = JSON.stringify({
  wrong,
  pictures: document.images.length,
  broken: [...document.images].filter(image => !image.naturalWidth).length,
  fetched: performance.getEntriesByType("resource").map(each => each.name).filter(name => !name.startsWith("data:")),
  beyond: document.documentElement.scrollWidth - innerWidth,
  narrow: [...document.querySelectorAll("h1, p, li, table, img, svg")].filter(each => each.clientWidth < 40).length,
}))</script>"""


def looked_at(path: Path, width: int, home: Path) -> dict[str, Any]:
    """What a browser with a window of that width makes of a page."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"there is no browser to look at pages with (none of {', '.join(BROWSERS)})")
    (home / "looked.html").write_text(path.read_text().replace("<head>", "<head>" + LOOK, 1))
    command = [browser, *ALONE, f"--user-data-dir={home / 'browser'}", f"--window-size={width},900"]
    done = subprocess.run([*command, (home / "looked.html").as_uri()], capture_output=True, text=True, timeout=200)
    title = re.search(r"<title>(.*?)</title>", done.stdout, re.DOTALL)
    assert title, done.stderr[-1000:]
    return json.loads(html.unescape(title[1]))


def made(which: str, home: Path) -> Path:
    if which == "study":
        return study.run("schedules", out=home, settings=["pictures=8", "size=8", "knots=20"], progress=False)
    (home / "set").mkdir()
    for i in range(12):
        Image.fromarray(vignettes.draw(vignettes.scene(8, i), 32, truth=False).image).save(home / "set" / f"{i}.png")
    folder = home / "set"
    compare.compare_and_report(
        None, str(folder), folder=folder, features=["vignettes-features"], resamples=4, out=home / "out"
    )
    return home / "out" / "report.html"


@pytest.mark.slow
@pytest.mark.parametrize(("which", "pictures"), [("study", 3), ("evaluation", 3)])
def test_a_page_stands_in_a_browser_wide_or_narrow(tmp_path, monkeypatch, which, pictures):
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))
    path = made(which, tmp_path)
    for width in (1200, 500):
        found = looked_at(path, width, tmp_path)
        assert found["beyond"] <= 0, "wide tables and drawings scroll by themselves, the page does not"
        assert found | {"beyond": 0} == {
            "wrong": [], "pictures": pictures, "broken": 0, "fetched": [], "beyond": 0, "narrow": 0
        }  # fmt: skip


def test_what_tells_rows_apart_stands_first_and_intervals_beside_their_figures():
    rows = [
        {"sampler": "true", "FID": 0.1, "FID low": 0.05, "FID high": 0.2},
        {"sampler": "ddim", "steps": 4, "FID": 2.0, "FID low": 1.5, "FID high": 2.5},
    ]
    columns, cells = page._cells(rows)
    assert columns == ["sampler", "steps", "FID"]
    assert cells == [["true", "", "0.1 (0.05 to 0.2)"], ["ddim", "4", "2 (1.5 to 2.5)"]]
    unknown = [{"FID": 2.0, "FID low": math.nan, "FID high": math.nan, "asked ±": math.nan}]
    assert page._cells(unknown) == (["FID", "asked ±"], [["2", "-"]]), "no interval is claimed where none is known"
    assert page._csv(rows).splitlines()[0] == "sampler,steps,FID,FID low,FID high"


def test_whatever_a_page_is_given_is_escaped(tmp_path):
    """A study's words and a folder's name are text, never markup."""
    bad = '<script>alert(1)</script> & "so"'
    study = Study(bad, bad, bad, bad, (bad,), None, None, lambda s, m: [], lambda s, r: Report([], []))
    figure = Figure(figsize=(1, 1))
    report = Report([Drawing("a", figure, bad)], [{bad: bad}], [bad])
    text = page.write_page(tmp_path, study, report, bad, {bad: bad}, Results(CellCache(tmp_path, "a"))).read_text()
    assert "<script" not in text
    assert text.count("&lt;script&gt;") == 13

    folder = tmp_path / "<b>set"
    folder.mkdir()
    for i in range(5):
        Image.new("RGB", (16, 16), (40 * i, 0, 0)).save(folder / f"{i}.png")
    compare.compare_and_report(
        None, str(folder), folder=folder, features=["vignettes-features"], resamples=0, out=tmp_path / "out"
    )
    text = (tmp_path / "out" / "report.html").read_text()
    assert "<b>" not in text
    assert "&lt;b&gt;set" in text
