"""Puts the line numbers of what the docs' links name right: `code.py#L12 "name"`, as GitHub shows them.

    python scripts/link_lines.py

A link is written as `[what](../src/code.py#name)`; this makes `[what](../src/code.py#L12 "name")` of it, and finds the
line anew in one that has been made. A name that isn't defined there is left as it is, for the test of links to tell.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CODE = re.compile(r'\]\((?P<place>[^)\s#]+\.py)#(?:L\d+ "(?P<named>[^"]+)"|(?P<name>[\w.]+))\)')


def pages() -> list[Path]:
    """The pages whose links are kept."""
    return [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "src/sfumato/zoo").rglob("*.md"),
        *(ROOT / "packages").rglob("*.md"),
    ]


@cache
def lines(path: Path) -> dict[str, int]:
    """The line at which a Python file defines each name, methods as Class.method."""
    found: dict[str, int] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case ast.FunctionDef(name=name):
                found[name] = node.lineno
            case ast.ClassDef(name=name, body=body):
                found[name] = node.lineno
                found |= {f"{name}.{n.name}": n.lineno for n in body if isinstance(n, ast.FunctionDef)}
            case ast.Assign(targets=targets):
                found |= {target.id: node.lineno for target in targets if isinstance(target, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                found[name] = node.lineno
    return found


def relinked(text: str, folder: Path) -> str:
    """`text`, a page in `folder`, with the lines of its links to code right."""

    def link(found: re.Match[str]) -> str:
        path, name = (folder / found["place"]).resolve(), found["named"] or found["name"]
        line = lines(path).get(name) if path.exists() else None
        return found[0] if line is None else f']({found["place"]}#L{line} "{name}")'

    return CODE.sub(link, text)


def main() -> None:
    for page in pages():
        text = page.read_text(encoding="utf-8")
        new = relinked(text, page.parent)
        if new != text:
            page.write_text(new, encoding="utf-8")
            print(page.relative_to(ROOT))


if __name__ == "__main__":
    main()
