"""No link of the docs is dead: files are there, and what is named stands at the line that the link says."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from link_lines import lines, pages, relinked  # noqa: E402

LINK = re.compile(r'\[[^\]]*\]\(([^)\s]+)(?: "([^"]*)")?\)')


def headings(path: Path) -> set[str]:
    """The headings of a page as GitHub links them."""
    titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def alive(target: Path, place: str, name: str) -> bool:
    """Whether the part of `target` that a link names is there: a heading, or the line of a definition."""
    if not target.exists():
        return False
    if target.suffix == ".py" and (place or name):
        return lines(target).get(name) == int(place.removeprefix("L") or 0) if place.startswith("L") else False
    return not place or place in headings(target)


def dead(page: Path) -> list[str]:
    wrong = []
    for link, name in LINK.findall(page.read_text(encoding="utf-8")):
        if link.startswith(("http:", "https:", "mailto:")):
            continue
        path, _, place = link.partition("#")
        if not alive((page.parent / path).resolve() if path else page, place, name):
            wrong.append(link)
    return wrong


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    """Lines that have moved are put right by `python scripts/link_lines.py`."""
    assert dead(page) == []


def test_a_dead_link_is_seen_and_a_moved_line_put_right(tmp_path):
    (tmp_path / "code.py").write_text("def there(): ...\n\n\nclass A:\n    def b(self): ...\n")
    page = tmp_path / "page.md"
    text = (
        '# A title\n[1](code.py#L1 "there") [2](code.py#L4 "A.b") [3](#a-title) [4](code.py#L1 "gone") '
        "[5](gone.py) [6](#no) [7](code.py#A) [8](code.py)"
    )
    page.write_text(text)
    assert dead(page) == ["code.py#L4", "code.py#L1", "gone.py", "#no", "code.py#A"]
    page.write_text(relinked(text, tmp_path))
    assert dead(page) == ["code.py#L1", "gone.py", "#no"]
    assert '[2](code.py#L5 "A.b")' in page.read_text()
    assert '[7](code.py#L4 "A")' in page.read_text()


def test_the_field_guide_names_a_proof_for_all_that_is_built():
    lines = (ROOT / "docs/field-guide.md").read_text(encoding="utf-8").splitlines()
    rows = [line.replace("\\|", "/").split("|") for line in lines if line.startswith("| ") and "where" not in line]
    assert len(rows) > 60
    unproven = [row[1].strip() for row in rows if "](../src" in row[3] and "](../tests" not in row[4]]
    assert unproven == []
