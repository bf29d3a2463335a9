"""Locks on files that whatever kills a process releases."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: there nobody is kept out
    fcntl = None


class Locked(OSError):
    """Another process holds the lock; its number, or 0 where that isn't known."""

    def __init__(self, process: int):
        super().__init__(f"held by process {process}")
        self.process = process


@contextmanager
def lock(path: Path, wait: bool = False) -> Iterator[None]:
    """Inside, no other process is inside with the same `path`. Raises `Locked` where one is, or waits for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                file.seek(0)
                text = file.read(20).strip()
                raise Locked(int(text) if text.isdecimal() else 0) from None
            except OSError:
                pass  # a file system without locks
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
