"""A model without parts that its family can do without: "sd3?without=text_encoder_3", whose T5 is nine gigabytes."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from sfumato.picture.errors import BadInput, printable
from sfumato.zoo import INDEX
from sfumato.zoo.borrowed import called, linked


def left_out(folder: Path, parts: tuple[str, ...], model: str) -> str:
    """The text of a folder's index with none for `parts`: [null, null], as diffusers writes it. Raises BadInput for a
    part that it does not name. model: how sentences call it."""
    try:
        said = dict(json.loads((folder / INDEX).read_text(encoding="utf-8")))
    except (ValueError, TypeError, RecursionError):
        raise BadInput(f"The {INDEX} of {model} can't be read: copy it again.") from None
    there = [name for name, value in said.items() if isinstance(value, list) and value and value[-1] is not None]
    if strange := [part for part in parts if part not in there]:
        known = printable(", ".join(there), 300)
        raise BadInput(f"The model {model} has no part {printable(strange[0], 60)!r} to leave out: it has {known}.")
    return json.dumps({**said, **{part: [None, None] for part in parts}}, indent=2)


def without(folder: Path, parts: tuple[str, ...]) -> Path:
    """A folder of links to the files of a model, which names none of `parts`; there as long as the process is. A folder
    that is no model is itself."""
    index = folder / INDEX
    return _laid(folder, parts, index.stat().st_mtime_ns) if index.is_file() else folder


@cache
def _laid(folder: Path, parts: tuple[str, ...], _stamp: int) -> Path:
    said = called(folder)
    index = left_out(folder, parts, said)
    own = {path.name: path for path in folder.iterdir() if path.name not in (*parts, INDEX)}
    laid = linked(own, folder.name, f"{said}?without={','.join(parts)}")
    (laid / INDEX).write_text(index, encoding="utf-8")
    return laid
