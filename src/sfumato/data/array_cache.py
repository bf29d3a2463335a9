"""Arrays computed once, kept as memory-mapped .npy files under a name that hashes their inputs, resumable.

What is kept is checked whenever it is opened: a journal holds a checksum of each chunk of rows, and a chunk that isn't
what was written counts as nothing and is computed anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sfumato.data.lock import lock
from sfumato.data.sealed import read_sealed, write_sealed
from sfumato.picture import BadInput
from sfumato.progress import progress, say

Rows = Iterable[tuple[int, dict[str, np.ndarray]]]
Shapes = dict[str, tuple[tuple[int, ...], type]]
_LINE = re.compile(r"(\d{1,15}) ([0-9a-f]{16})")


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
    missing spans in any order, (start, {name: rows}). A chunk is noted as done only after its rows are on the disk,
    so a run that is killed goes on where it was; runs side by side wait for one another. Chunks that were damaged
    since are computed anew, which is said in a line. Raises BadInput where the folder can't be used.
    """
    if not n:
        return {name: np.empty((0, *shape), dtype) for name, (shape, dtype) in shapes.items()}
    home = folder / f"{title}-{key}"
    spans = [(i, min(i + chunk, n)) for i in range(0, n, chunk)]
    try:
        maps = _opened(home, shapes, n, "r")
        if maps is None or _missing(home, maps, spans):
            with lock(home / "lock", wait=True):
                _fill(home, title, shapes, compute, spans)
            maps = _opened(home, shapes, n, "r")
    except PermissionError as error:
        raise BadInput(f"{home} can't be written ({error.strerror}): allow it, or choose another folder") from error
    if maps is None:
        raise BadInput(f"{home} can't be read back: remove it, it is computed anew then")
    return maps


def _fill(home: Path, title: str, shapes: Shapes, compute: Callable, spans: list[tuple[int, int]]) -> None:
    n = spans[-1][1]
    maps = _opened(home, shapes, n, "r+")
    if maps is None:
        _make(home, shapes, n)
        maps = _opened(home, shapes, n, "r+")
    assert maps is not None
    missing = _missing(home, maps, spans)
    noted = set(_journal(home))
    if damaged := [span for span in missing if span[0] in noted]:
        say(f"{home}: {len(damaged)} of {len(spans)} chunks are damaged and count as nothing: they are computed anew")
    ends = dict(spans)
    left = sum(stop - start for start, stop in missing)
    with progress(title, n, n - left) as advance, (home / "done").open("a", encoding="ascii") as log:
        log.write("\n")  # whatever a kill left of a line ends here
        for start, rows in compute(missing):
            stop = ends[start]
            for name, values in rows.items():
                maps[name][start:stop] = values
                maps[name].flush()
            log.write(f"{start} {_checksum(maps, start, stop)}\n")
            log.flush()
            os.fsync(log.fileno())
            advance(stop - start)


def _opened(home: Path, shapes: Shapes, n: int, mode: Any) -> dict[str, Any] | None:
    """The arrays as memory maps; None where one isn't there or is another."""
    maps: dict[str, Any] = {}
    for name, (shape, dtype) in shapes.items():
        try:
            maps[name] = np.load(home / f"{name}.npy", mmap_mode=mode)
        except (FileNotFoundError, ValueError, EOFError, OverflowError, SyntaxError):
            return None
        if maps[name].shape != (n, *shape) or maps[name].dtype != np.dtype(dtype):
            return None
    return maps


def _make(home: Path, shapes: Shapes, n: int) -> None:
    """Arrays of nothing. They take the place of what was there by a rename, for another run may be reading that."""
    for leftover in home.glob(".*.part"):
        leftover.unlink()
    for name, (shape, dtype) in shapes.items():
        part = home / f".{name}.{os.getpid()}.part"
        np.lib.format.open_memmap(part, "w+", dtype, (n, *shape)).flush()
        _reserve(part)
        part.rename(home / f"{name}.npy")


def _missing(home: Path, maps: dict[str, np.ndarray], spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The spans that are not there as they were noted."""
    noted = _journal(home)
    return [(a, b) for a, b in spans if a not in noted or noted[a] != _checksum(maps, a, b)]


def _journal(home: Path) -> dict[int, str]:
    """The checksum of each chunk by where it begins; lines that aren't whole count for nothing."""
    try:
        text = (home / "done").read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return {}
    return {int(found[1]): found[2] for line in text.splitlines() if (found := _LINE.fullmatch(line))}


def _checksum(maps: dict[str, np.ndarray], start: int, stop: int) -> str:
    total = hashlib.sha256()
    for name in sorted(maps):
        total.update(np.ascontiguousarray(maps[name][start:stop]).data)
    return total.hexdigest()[:16]


def _reserve(path: Path) -> None:
    """Take the room on the disk now: a full disk is an OSError here, but kills the process inside a memory map."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def lines(folder: Path, title: str, key: str, compute: Callable[[], Iterator[object]]) -> list:
    """JSON values computed once, a line each, sealed by a checksum; a damaged file is made anew."""
    path = folder / f"{title}-{key}.jsonl"
    data = read_sealed(path)
    if data is None:
        data = "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in compute()).encode()
        write_sealed(path, data)
    return [json.loads(line) for line in data.decode().split("\n") if line]
