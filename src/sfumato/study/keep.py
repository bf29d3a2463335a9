"""Results of cells on disk: each in a file of its own that appears whole or not at all."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, is_dataclass
from hashlib import blake2b
from inspect import getsource
from pathlib import Path
from typing import Any

import numpy as np

from sfumato import __version__
from sfumato.picture import BadInput
from sfumato.picture.files import write_atomically
from sfumato.study.study import Cell, Result


class Keep:
    """The results of one study's cells in `folder`, each under the hash of everything it depends on: what it was given,
    the cells before it, and the words of its own function."""

    def __init__(self, folder: Path, study: str) -> None:
        self.folder = folder
        self.study = study
        self.keys: dict[str, str] = {}
        for part in folder.glob(".*.part"):  # of a process that was killed while it wrote
            part.unlink(missing_ok=True)

    def path(self, cell: Cell) -> Path:
        """Where the result of `cell` stands; the cells that it needs must have been asked for before."""
        if cell.name not in self.keys:
            work = f"{cell.work.__module__}.{cell.work.__qualname__}"
            parents = [self.keys[name] for name in cell.needs]
            whole = [__version__, self.study, cell.name, work, getsource(cell.work), cell.given, parents]
            self.keys[cell.name] = blake2b(json.dumps(whole, default=_plain).encode(), digest_size=8).hexdigest()
        return self.folder / f"{re.sub(r'[^a-z0-9.]+', '-', cell.name.lower())}-{self.keys[cell.name]}.npz"

    def get(self, cell: Cell) -> Result | None:
        """What was kept, or None; a damaged file counts as nothing."""
        try:
            with np.load(self.path(cell), allow_pickle=False) as arrays:
                return dict(arrays)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            return None

    def put(self, cell: Cell, result: Result) -> None:
        """Keeps `result`."""
        arrays: dict[str, Any] = {name: np.asarray(value) for name, value in result.items()}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        write_atomically(self.path(cell), buffer.getvalue())


class Results(Mapping[str, Result]):
    """Results of cells by name, read from where they are kept whenever they are asked for: few fit into memory at once.

    `seconds`: how long the cells took, whenever that was.
    """

    def __init__(self, keep: Keep) -> None:
        self.keep = keep
        self.cells: dict[str, Cell] = {}
        self.seconds = 0.0

    def has(self, cell: Cell) -> bool:
        """Whether the result of `cell` is kept; it is among these then."""
        found = self.keep.get(cell)
        if found is not None:
            self.cells[cell.name] = cell
            self.seconds += float(found["seconds"])
        return found is not None

    def add(self, cell: Cell, result: Result) -> None:
        """Keeps a fresh result."""
        self.keep.put(cell, result)
        self.cells[cell.name] = cell
        self.seconds += float(result["seconds"])

    def __getitem__(self, name: str) -> Result:
        found = self.keep.get(self.cells[name])
        if found is None:
            raise BadInput(f"{self.keep.folder} has lost the result of {name!r} meanwhile: run the study again.")
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self.cells)

    def __len__(self) -> int:
        return len(self.cells)


def _plain(value: Any) -> Mapping[str, Any] | list[Any]:
    if is_dataclass(value) and not isinstance(value, type):
        return {"kind": type(value).__name__, **asdict(value)}
    raise TypeError(f"A cell is given JSON values, not {type(value).__name__}.")
