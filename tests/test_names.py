"""One thing has one name, and a name means one thing: no public class stands twice, and few files are called alike.

Functions are called by their modules, so that theirs may be alike."""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from pathlib import Path

import sfumato

ROOT = Path(sfumato.__file__).parent
FILES = sorted(path for path in ROOT.rglob("*.py") if path.name != "__init__.py")


def classes(path: Path) -> list[str]:
    """The public classes that a module defines."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return [node.name for node in body if isinstance(node, ast.ClassDef) and node.name[0] != "_"]


def test_no_public_class_stands_twice():
    places = defaultdict(list)
    for path in ROOT.rglob("*.py"):
        for name in classes(path):
            places[name].append(str(path.relative_to(ROOT)))
    assert {name: at for name, at in places.items() if len(at) > 1} == {}


def test_no_file_name_stands_three_times():
    counted = Counter(path.name for path in FILES)
    assert {name: count for name, count in counted.items() if count > 2} == {}
