"""Results of cells on disk: each in a file of its own that appears whole or not at all, and is checked when read."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, is_dataclass
from functools import cache
from hashlib import blake2b
from inspect import getsource
from pathlib import Path
from typing import Any

import numpy as np

from sfumato import __version__
from sfumato.data.sealed import read_sealed, write_sealed
from sfumato.picture import BadInput
from sfumato.study.sources import sources_of
from sfumato.study.study import Cell, Result


class CellCache:
    """The results of one study's cells in `folder`, each under the hash of everything it depends on: its arguments, the
    cells before it, the source of its own function, and of every module that it reaches (`sources.sources_of`)."""

    def __init__(self, folder: Path, study: str) -> None:
        self.folder = folder
        self.study = study
        self.keys: dict[str, str] = {}
        self.sources = cache(sources_of)
        for part in folder.glob(".*.part"):  # of a process that was killed while it wrote
            part.unlink(missing_ok=True)

    def path(self, cell: Cell) -> Path:
        """Where the result of `cell` stands; the cells that it needs must have been asked for before."""
        if cell.name not in self.keys:
            work = f"{cell.work.__module__}.{cell.work.__qualname__}"
            code = [getsource(cell.work), self.sources(cell.work.__module__)]
            parents = [self.keys[name] for name in cell.needs]
            whole = [__version__, self.study, cell.name, work, code, cell.arguments, parents]
            self.keys[cell.name] = blake2b(json.dumps(whole, default=_plain).encode(), digest_size=8).hexdigest()
        return self.folder / f"{re.sub(r'[^a-z0-9.]+', '-', cell.name.lower())}-{self.keys[cell.name]}.npz"

    def read(self, cell: Cell) -> Result | None:
        """The kept result, or None; a damaged file counts as nothing, and is named in a line."""
        data = read_sealed(self.path(cell))
        if data is None:
            return None
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return dict(arrays)

    def write(self, cell: Cell, result: Result) -> None:
        """Keeps `result`."""
        arrays: dict[str, Any] = {name: np.asarray(value) for name, value in result.items()}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        write_sealed(self.path(cell), buffer.getvalue())


class Results(Mapping[str, Result]):
    """Results of cells by name, read from where they are kept whenever they are asked for: few fit into memory at once.

    `seconds`: how long the cells took, whenever that was.
    """

    def __init__(self, cache: CellCache) -> None:
        self.cache = cache
        self.cells: dict[str, Cell] = {}
        self.seconds = 0.0

    def has(self, cell: Cell) -> bool:
        """Whether the result of `cell` is kept; it is among these then."""
        found = self.cache.read(cell)
        if found is not None:
            self.cells[cell.name] = cell
            self.seconds += float(found["seconds"])
        return found is not None

    def add(self, cell: Cell, result: Result) -> None:
        """Keeps a fresh result."""
        self.cache.write(cell, result)
        self.cells[cell.name] = cell
        self.seconds += float(result["seconds"])

    def __getitem__(self, name: str) -> Result:
        found = self.cache.read(self.cells[name])
        if found is None:
            raise BadInput(f"{self.cache.folder} has lost the result of {name!r} meanwhile: run the study again.")
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self.cells)

    def __len__(self) -> int:
        return len(self.cells)


def _plain(value: Any) -> Mapping[str, Any] | list[Any]:
    if is_dataclass(value) and not isinstance(value, type):
        return {"kind": type(value).__name__, **asdict(value)}
    raise TypeError(f"A cell's arguments are JSON values, not {type(value).__name__}.")
