"""Arrays computed once, kept as memory-mapped .npy files under a name that hashes their inputs, resumable.

What is kept is checked whenever it is opened: rows that are damaged count as nothing, and are computed again.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sfumato.data.sealed import read_sealed, write_sealed
from sfumato.progress import progress, say

Rows = Iterable[tuple[int, dict[str, np.ndarray]]]
Shapes = dict[str, tuple[tuple[int, ...], type]]


def digest(*values: Any) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of JSON-able values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]


def arrays(
    folder: Path,
    title: str,
    key: str,
    shapes: Shapes,
    compute: Callable[[list[tuple[int, int]]], Rows],
    n: int,
    chunk: int = 256,
) -> dict[str, np.ndarray]:
    """Read-only memory maps of arrays with n rows, computed chunk by chunk unless they are there already.

    `shapes` gives each array's shape of a row and type. `compute(spans)` yields, for each (start, stop) of the
    missing spans in any order, (start, {name: rows}). A chunk and the checksum of its rows are noted only after the
    rows are on the disk, so a run that is killed goes on where it was.
    """
    home = folder / f"{title}-{key}"
    home.mkdir(parents=True, exist_ok=True)
    done = _whole(home, shapes, n, chunk)
    spans = [(i, min(i + chunk, n)) for i in range(0, n, chunk) if i not in done]
    if spans:
        _fill(home, title, shapes, compute, n, spans, fresh=not done)
    return {name: np.load(home / f"{name}.npy", mmap_mode="r") for name in shapes}


def _fill(
    home: Path, title: str, shapes: Shapes, compute: Callable, n: int, spans: list[tuple[int, int]], fresh: bool
) -> None:
    journal, paths = home / "done", {name: home / f"{name}.npy" for name in shapes}
    if fresh:
        journal.unlink(missing_ok=True)
        for name, (shape, dtype) in shapes.items():
            np.lib.format.open_memmap(paths[name], "w+", dtype, (n, *shape)).flush()
            _reserve(paths[name])
    maps = {name: np.load(path, mmap_mode="r+") for name, path in paths.items()}
    stops = dict(spans)
    with progress(title, n, n - sum(b - a for a, b in spans)) as advance, journal.open("a") as log:
        for start, rows in compute(spans):
            stop = stops[start]
            for name, values in rows.items():
                maps[name][start:stop] = values
                maps[name].flush()
            log.write(f"{start} {_checksum(maps, start, stop):08x}\n")
            log.flush()
            os.fsync(log.fileno())
            advance(stop - start)


def _whole(home: Path, shapes: Shapes, n: int, chunk: int) -> set[int]:
    """Where the chunks begin that are on the disk as they were computed."""
    noted = _noted(home / "done")
    if not noted:
        return set()
    maps: dict[str, np.ndarray] = {}
    for name, (shape, dtype) in shapes.items():
        path = home / f"{name}.npy"
        try:
            maps[name] = np.load(path, mmap_mode="r", allow_pickle=False)
            if (maps[name].shape, maps[name].dtype) != ((n, *shape), np.dtype(dtype)):
                raise ValueError
        except (OSError, ValueError, EOFError):
            say(f"{path} is damaged: it counts as nothing and is made again")
            return set()
    done = {i for i, crc in noted.items() if i < n and _checksum(maps, i, min(i + chunk, n)) == crc}
    for start in sorted(noted.keys() - done):
        say(f"{home}: rows {start} to {min(start + chunk, n) - 1} are damaged: they are made again")
    return done


def _noted(journal: Path) -> dict[int, int]:
    """The checksum of each chunk by where it begins; a last line without its end was being written when the process
    died, and lines without a checksum, of older versions, count as nothing."""
    text = journal.read_text(errors="replace") if journal.exists() else ""
    noted = {}
    for line in text[: text.rfind("\n") + 1].splitlines():
        start, _, crc = line.partition(" ")
        if start.isdecimal() and len(crc) == 8:
            try:
                noted[int(start)] = int(crc, 16)
            except ValueError:
                continue
    return noted


def _checksum(maps: dict[str, np.ndarray], start: int, stop: int) -> int:
    crc = 0
    for name in sorted(maps):
        crc = zlib.crc32(np.ascontiguousarray(maps[name][start:stop]).data, crc)
    return crc


def _reserve(path: Path) -> None:
    """Take the room on the disk now: a full disk is an OSError here, but kills the process inside a memory map."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def lines(folder: Path, title: str, key: str, compute: Callable[[], Iterator[object]]) -> list:
    """JSON lines computed once, and checked whenever they are read."""
    path = folder / f"{title}-{key}.jsonl"
    data = read_sealed(path)
    if data is None:
        folder.mkdir(parents=True, exist_ok=True)
        data = "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in compute()).encode()
        write_sealed(path, data)
    return [json.loads(line) for line in data.decode().split("\n") if line]
