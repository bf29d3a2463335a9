"""Arrays computed once, kept as memory-mapped .npy files under a name that hashes their inputs, resumable."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sfumato.progress import progress

Rows = Iterable[tuple[int, dict[str, np.ndarray]]]


def digest(*values: Any) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of JSON-able values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]


def arrays(
    folder: Path,
    title: str,
    key: str,
    shapes: dict[str, tuple[tuple[int, ...], type]],
    compute: Callable[[list[tuple[int, int]]], Rows],
    n: int,
    chunk: int = 256,
) -> dict[str, np.ndarray]:
    """Read-only memory maps of arrays with n rows, computed chunk by chunk unless they are there already.

    `shapes` gives each array's shape of a row and type. `compute(spans)` yields, for each (start, stop) of the
    missing spans in any order, (start, {name: rows}). A chunk is noted as done only after its rows are on the disk,
    so a run that is killed goes on where it was.
    """
    home = folder / f"{title}-{key}"
    home.mkdir(parents=True, exist_ok=True)
    complete = home / "complete"
    if not complete.exists():
        _fill(home, title, shapes, compute, n, chunk)
        complete.write_text(json.dumps({"rows": n}))
    return {name: np.load(home / f"{name}.npy", mmap_mode="r") for name in shapes}


def _fill(home: Path, title: str, shapes: dict, compute: Callable, n: int, chunk: int) -> None:
    journal, paths = home / "done", {name: home / f"{name}.npy" for name in shapes}
    done = _done(journal) if all(path.exists() for path in paths.values()) else set()
    if not done:
        journal.unlink(missing_ok=True)
        for name, (shape, dtype) in shapes.items():
            np.lib.format.open_memmap(paths[name], "w+", dtype, (n, *shape)).flush()
            _reserve(paths[name])
    maps = {name: np.load(path, mmap_mode="r+") for name, path in paths.items()}
    spans = [(i, min(i + chunk, n)) for i in range(0, n, chunk) if i not in done]
    with progress(title, n, n - sum(b - a for a, b in spans)) as advance, journal.open("a") as log:
        for start, rows in compute(spans):
            stop = min(start + chunk, n)
            for name, values in rows.items():
                maps[name][start:stop] = values
                maps[name].flush()
            log.write(f"{start}\n")
            log.flush()
            os.fsync(log.fileno())
            advance(stop - start)


def _done(journal: Path) -> set[int]:
    """Where the finished chunks begin; a last line without its end was being written when the process died."""
    text = journal.read_text() if journal.exists() else ""
    return {int(line) for line in text[: text.rfind("\n") + 1].split()}


def _reserve(path: Path) -> None:
    """Take the room on the disk now: a full disk is an OSError here, but kills the process inside a memory map."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def lines(folder: Path, title: str, key: str, compute: Callable[[], Iterator[object]]) -> list:
    """JSON lines computed once, written under a temporary name and renamed."""
    path = folder / f"{title}-{key}.jsonl"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}")
        with temporary.open("w", encoding="utf-8") as file:
            for value in compute():
                file.write(json.dumps(value, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]
