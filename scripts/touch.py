"""How many source files name each method: its own, and its package's list. More than two is a method with many homes.

    python scripts/touch.py

A file names a method that has its class's name, or its kind as a quoted string. Tests and docstrings are not counted;
nor the tables of other tools' words (`recipe/replay`), which say what a tool calls a method; nor studies, which say
what they compare: a new method of ours adds nothing to either. Where a kind's name is an everyday word ("exact"), the
class alone is looked for.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "sfumato"
TYPICAL = {  # the kind of thing: a class (or "" for things without one), and its name
    "sampler": ("DEIS", "deis"),
    "guidance": ("ProjectedGuidance", "projected"),
    "start": ("EditFriendly", "edit-friendly"),
    "hold": ("LowPass", "low-pass"),
    "control": ("T2IAdapter", "t2i-adapter"),
    "control map": ("SoftEdge", "softedge"),
    "composite": ("DecoderTuning", ""),
    "time grid": ("LogSNRGrid", "log-snr"),
    "encoder": ("PictureToMend", ""),
    "engine": ("OpenVINO", ""),
    "format": ("ScoreSde", "score-sde"),
    "metric": ("", "kid"),
    "metric of maps": ("", "normal-angle"),
    "study": ("", "trilemma"),
    "training task": ("", "ncsn"),
    "data source": ("Tars", "tars"),
    "personalization": ("PivotalTuning", "pivotal-tuning"),
}

LEFT_OUT = ("recipe/replay/", "study/")
USED = ("encoder", "control")  # one more names it, which uses it: the family that has it, the task that trains it


def said(path: Path) -> set[str]:
    """The names of a file's code, those that it imports among them, and its strings as they are quoted: 'kid'."""
    tree, found = ast.parse(path.read_text(encoding="utf-8")), set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.alias(name=name):
                found.add(name.rpartition(".")[2])
            case ast.Constant(value=str(text)):
                found.add(repr(text))
    return found


def main() -> int:
    files = {path.relative_to(SOURCE).as_posix(): said(path) for path in sorted(SOURCE.rglob("*.py"))}
    files = {path: words for path, words in files.items() if not path.startswith(LEFT_OUT)}
    many = 0
    for kind, (made, name) in TYPICAL.items():
        naming = [path for path, words in files.items() if words & {made, repr(name)} - {"", "''"}]
        many += len(naming) > (3 if kind in USED else 2)
        print(f"{kind:14} {made:18} {name:14} {len(naming)}  {', '.join(naming)}")
    return 1 if many else 0


if __name__ == "__main__":
    sys.exit(main())
