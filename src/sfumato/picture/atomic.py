"""The one way in which files are written: whole, or not at all.

A temporary file in the same folder, fsync, rename, fsync of the folder: at every moment the old file or the whole new
one stands there, whatever is killed or switched off. Temporary files that a kill left behind are swept.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from sfumato.picture.errors import BadInput, name_of
from sfumato.picture.paths import path_of, replaceable

_PART = re.compile(r"\..*\.[0-9a-f]{12}\.part")
_DEAD = 3600.0  # seconds without a write, after which a temporary file is nobody's any more
_swept: set[str] = set()


def write_atomically(
    path: str | os.PathLike[str], data: bytes | Callable[[BinaryIO], object], *, private: bool = False
) -> None:
    """Write `data` to `path` so that at every moment either the old file or the whole new one stands there.

    data: the bytes, or a function that writes them into the open file it is given. private: only the user may read it
    (mode 0600, new folders 0700); otherwise a file that is replaced keeps its mode and a new one has the usual one.
    Missing folders are made. Raises `BadInput` with the system's reason; nothing is left behind then.
    """
    path = path_of(path)
    replaceable(path)
    part = None
    try:
        target = Path(os.path.realpath(path))  # through a symbolic link, not over it
        _make_folders(target.parent, 0o700 if private else 0o777)
        sweep(target.parent)
        part = target.parent / f".{target.name[:60]}.{secrets.token_hex(6)}.part"
        with open(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666), "w+b") as file:
            _keep_mode(file, target, private)
            if callable(data):
                data(file)
            else:
                file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, target)
        _sync_folder(target.parent)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise BadInput(f"{name_of(path)} can't be written: {reason}") from None
    finally:
        if part is not None:
            with contextlib.suppress(OSError):
                part.unlink()


def sweep(folder: str | os.PathLike[str]) -> None:
    """Remove the temporary files that killed writers left in `folder`: those that nobody wrote to for an hour.

    A folder is looked through once a process. Whatever can't be removed stays, without a word.
    """
    folder = os.fspath(folder)
    if folder in _swept:
        return
    _swept.add(folder)
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _PART.fullmatch(entry.name) and time.time() - entry.stat(follow_symlinks=False).st_mtime > _DEAD:
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)


def _make_folders(folder: Path, mode: int) -> None:
    if not folder.is_dir():
        _make_folders(folder.parent, mode)
        folder.mkdir(mode, exist_ok=True)


def _keep_mode(file: BinaryIO, target: Path, private: bool) -> None:
    with contextlib.suppress(OSError, AttributeError):
        if not private:
            os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # some file systems can't, and the file itself is safe already
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
