"""The code that a cell's function reaches: what it finds may change with any of it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from hashlib import blake2b
from pathlib import Path

HOUSE = "sfumato"


def sources_of(module: str) -> str:
    """A hash of the sources of all modules that `module` reaches."""
    whole = blake2b(digest_size=16)
    for name in sorted(reached(module)):
        path = _path(name)
        whole.update(name.encode() + b"\0" + (path.read_bytes() if path else b"") + b"\0")
    return whole.hexdigest()


def reached(module: str) -> set[str]:
    """`module` and every module of this package, or of its own, that it reaches: those that are imported anywhere in
    the source, inside functions too, and those that are named by a string, as registries name theirs; so on from each
    of them. Packages that come from elsewhere don't count."""
    seen: set[str] = set()
    todo, homes = [module], {HOUSE, module.partition(".")[0]}
    while todo:
        name = todo.pop()
        if name not in seen and name.partition(".")[0] in homes and (path := _path(name)) is not None:
            seen.add(name)
            stat = path.stat()
            todo += _names(path, name, stat.st_mtime_ns, stat.st_size)
    return seen


def _path(module: str) -> Path | None:
    """The file of a module, found without importing it."""
    top, *rest = module.split(".")
    loaded = getattr(sys.modules.get(module), "__file__", None)
    home = getattr(sys.modules.get(top), "__file__", None)
    places = [Path(loaded)] if loaded else []
    if home and Path(home).name == "__init__.py":
        stem = Path(home).parent.joinpath(*rest)
        places += [stem.with_suffix(".py"), stem / "__init__.py"]
    return next((path for path in places if path.suffix == ".py" and path.is_file()), None)


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
