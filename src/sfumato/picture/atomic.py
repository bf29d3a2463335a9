"""The one way in which files are written: whole, or not at all.

A temporary file in the same folder, fsync, rename, fsync of the folder: at every moment the old file or the whole new
one stands there, whatever is killed or switched off. Temporary files that a kill left behind are swept.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
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
    mode, flags = 0o600 if private else 0o666, os.O_RDWR | os.O_CREAT | os.O_EXCL
    with beside(path, private=private) as part, open(os.open(part, flags, mode), "w+b") as file:
        _keep_mode(file, Path(os.path.realpath(path_of(path))), private)
        if callable(data):
            data(file)
        else:
            file.write(data)


@contextlib.contextmanager
def beside(path: str | os.PathLike[str], *, private: bool = False) -> Iterator[Path]:
    """A free name beside `path` for a file or a folder, which takes the place of `path` in one step when the block has
    written it whole, and is gone otherwise. Nothing takes the place of a folder.

    Missing folders are made. Raises `BadInput` with the system's reason.
    """
    path = path_of(path)
    replaceable(path)
    part = None
    try:
        target = Path(os.path.realpath(path))  # through a symbolic link, not over it
        _make_folders(target.parent, 0o700 if private else 0o777)
        sweep(target.parent)
        part = target.parent / f".{target.name[:60]}.{secrets.token_hex(6)}.part"
        yield part
        for each in [*part.rglob("*"), part] if part.is_dir() else [part]:
            _sync(each)
        os.replace(part, target)
        _sync(target.parent)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise BadInput(f"{name_of(path)} can't be written: {reason}") from None
    finally:
        if part is not None:
            _remove(part)


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
                _remove(Path(entry.path))


def _remove(part: Path) -> None:
    with contextlib.suppress(OSError):
        shutil.rmtree(part) if part.is_dir() and not part.is_symlink() else part.unlink()


def _make_folders(folder: Path, mode: int) -> None:
    if not folder.is_dir():
        _make_folders(folder.parent, mode)
        folder.mkdir(mode, exist_ok=True)


def _keep_mode(file: BinaryIO, target: Path, private: bool) -> None:
    with contextlib.suppress(OSError, AttributeError):
        if not private:
            os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))


def _sync(path: Path) -> None:
    folder = path.is_dir()
    with contextlib.suppress(*[OSError] * folder):  # some file systems can't do so with folders
        handle = os.open(path, os.O_RDONLY if folder else os.O_RDWR)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
