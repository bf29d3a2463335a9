"""No link of the docs is dead: files are there, and what is named after # is defined in them."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "src/sfumato/zoo").rglob("*.md")]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@cache
def defined(path: Path) -> set[str]:
    """Names that a Python file defines, methods as Class.method, or the headings of a page as GitHub links them."""
    if path.suffix == ".md":
        titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case ast.FunctionDef(name=name):
                found.add(name)
            case ast.ClassDef(name=name, body=body):
                found |= {name, *(f"{name}.{n.name}" for n in body if isinstance(n, ast.FunctionDef))}
            case ast.Assign(targets=targets):
                found |= {target.id for target in targets if isinstance(target, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
    return found


def dead(page: Path) -> list[str]:
    wrong = []
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if link.startswith(("http:", "https:", "mailto:")):
            continue
        place, _, name = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        if not target.exists() or (name and name not in defined(target)):
            wrong.append(link)
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    assert dead(page) == []


def test_a_dead_link_is_seen(tmp_path):
    (tmp_path / "code.py").write_text("def there(): ...\nclass A:\n    def b(self): ...\n")
    page = tmp_path / "page.md"
    page.write_text(
        "# A title\n[1](code.py#there) [2](code.py#A.b) [3](#a-title) [4](code.py#gone) [5](gone.py) [6](#no)"
    )
    assert dead(page) == ["code.py#gone", "gone.py", "#no"]


def test_the_field_guide_names_a_proof_for_all_that_is_built():
    lines = (ROOT / "docs/field-guide.md").read_text(encoding="utf-8").splitlines()
    rows = [line.replace("\\|", "/").split("|") for line in lines if line.startswith("| ") and "where" not in line]
    assert len(rows) > 60
    unproven = [row[1].strip() for row in rows if "](../src" in row[3] and "](../tests" not in row[4]]
    assert unproven == []
