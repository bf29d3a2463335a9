"""One thing has one name, and a name means one thing: no public class or function stands twice, and few files alike."""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from pathlib import Path

import sfumato

ROOT = Path(sfumato.__file__).parent
FILES = sorted(path for path in ROOT.rglob("*.py") if path.name != "__init__.py")


def defined(path: Path) -> list[str]:
    """The public classes and functions that a module defines."""
    kinds = ast.ClassDef | ast.FunctionDef
    return [node.name for node in ast.parse(path.read_text()).body if isinstance(node, kinds) and node.name[0] != "_"]


def test_no_public_class_stands_twice():
    places = defaultdict(list)
    for path in ROOT.rglob("*.py"):
        for name in defined(path):
            if name[0].isupper():
                places[name].append(str(path.relative_to(ROOT)))
    assert {name: at for name, at in places.items() if len(at) > 1} == {}


def test_no_file_name_stands_three_times():
    counted = Counter(path.name for path in FILES)
    assert {name: count for name, count in counted.items() if count > 2} == {}
