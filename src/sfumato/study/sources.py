"""The code that a cell's function reaches: what it finds may change with any of it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path

HOUSE = "sfumato"


def sources_of(module: str) -> str:
    """A hash of the sources of `module` and of every module of this package, or of its own, that it reaches.

    Reached are modules that are imported anywhere in the source, inside functions too, and modules that are named by
    a string, as registries name theirs; so on from each of them. Packages that come from elsewhere don't count.
    """
    seen: dict[str, bytes] = {}
    todo, homes = [module], {HOUSE, module.partition(".")[0]}
    while todo:
        name = todo.pop()
        if name in seen or name.partition(".")[0] not in homes:
            continue
        path = _path(name)
        if path is None:
            continue
        seen[name] = path.read_bytes()
        todo += _reached(path, name)
    whole = blake2b(digest_size=16)
    for name in sorted(seen):
        whole.update(name.encode() + b"\0" + seen[name] + b"\0")
    return whole.hexdigest()


def _path(module: str) -> Path | None:
    """The file of a module, without importing it or its package."""
    if module in sys.modules:
        file = getattr(sys.modules[module], "__file__", None)
    else:
        try:
            spec = find_spec(module)
        except (ImportError, AttributeError, ValueError):
            return None
        file = spec.origin if spec else None
    path = Path(file) if file else None
    return path if path is not None and path.suffix == ".py" and path.is_file() else None


def _reached(path: Path, module: str) -> tuple[str, ...]:
    stat = path.stat()
    return _names(path, module, stat.st_mtime_ns, stat.st_size)


@cache
def _names(path: Path, module: str, *stamp: int) -> tuple[str, ...]:
    """The modules, or what may be modules, that the file at `path` names."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        found.update(_named(node, package))
    return tuple(sorted(found))


def _named(node: ast.AST, package: str) -> Iterator[str]:
    match node:
        case ast.Import(names):
            yield from (alias.name for alias in names)
        case ast.ImportFrom(origin, names, level):
            above = package.rsplit(".", level - 1)[0] if level > 1 else package
            base = ".".join(filter(None, (above if level else "", origin)))
            yield base
            yield from (f"{base}.{alias.name}" for alias in names)
        case ast.Constant(str(text)) if text.startswith(f"{HOUSE}.") and text.replace(".", "").isidentifier():
            yield text
