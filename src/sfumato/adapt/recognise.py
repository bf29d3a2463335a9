"""Which adapter a file is, by what is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sfumato.adapt.adapter import Adapter
from sfumato.adapt.file import PICKLED, SAFE, open_file
from sfumato.adapt.read import Contents, contents
from sfumato.picture.errors import BadInput, name_of


def kind_of(found: Contents) -> str:
    """The kind of adapter that a file's contents are, as "lora"; "" where they are none."""
    kinds: Any = Adapter.registry.classes
    return next((kind for kind, made in kinds.items() if made.holds(found.tensors, found.other)), "")


def adapters_in(folder: Path, *, allow_pickle: bool = False) -> list[Adapter]:
    """The adapters in the files of a folder, in the order of their names, as a run takes them. Raises BadInput for a
    file of weights that is none."""
    found: list[Adapter] = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in (SAFE, *PICKLED):
            continue
        file = open_file(path, allow_pickle=allow_pickle)
        if not (kind := kind_of(contents(file))):
            raise BadInput(f"{name_of(path)} is no adapter: {', '.join(Adapter.registry)} are known.")
        found.append(Adapter.registry.named(kind, file=file))
    return found
