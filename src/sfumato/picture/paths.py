"""Paths as people write them, and what may be written where."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sfumato.picture.errors import BadInput, name_of

WRITABLE = (".png", ".jpg", ".jpeg", ".webp")


def path_of(path: Any) -> Path:
    """`path` as a Path, its `~` or `~user` read as that user's home folder where no file is called so itself."""
    found = Path(os.fsdecode(path))
    if found.parts[:1] and found.parts[0].startswith("~") and not os.path.lexists(found):
        try:
            return found.expanduser()
        except RuntimeError:  # no such user
            return found
    return found


def modified(path: Path) -> float:
    """When a file was last written to, in seconds since 1970; 0 of one that is gone, or can't be looked at."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def check_writable(path: str | os.PathLike[str]) -> Path:
    """`path` as a Path, if its extension and what stands there allow a picture to be saved; else `BadInput`.

    For use before long work: it touches nothing, so a full or read-only disk still shows only when writing.
    """
    path = path_of(path)
    if path.suffix.lower() not in WRITABLE:
        raise BadInput(f"{name_of(path)} must end in {', '.join(WRITABLE[:-1])} or {WRITABLE[-1]}, to say its format")
    replaceable(path)
    return path


def check_outputs(inputs: Iterable[Any], outputs: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """`outputs` as Paths, if pictures can be saved in all of them: no two are one file, and none is an input.

    inputs: what is read, of which only paths count; None, bytes and pictures in memory are passed over. Links and other
    spellings of one path are seen through. Raises `BadInput` otherwise. For use before long work.
    """
    read = {_identity(path): path for path in inputs if isinstance(path, str | os.PathLike)}
    written: dict[Any, Any] = {}
    paths = []
    for output in outputs:
        path = check_writable(output)
        same = _identity(path)
        if same in read:
            raise BadInput(f"{name_of(path)} is also an input, which would be lost: give another name for the result")
        if same in written:
            raise BadInput(f"{name_of(path)} is to be written twice: give each result a name of its own")
        written[same] = path
        paths.append(path)
    return paths


def check_folder(folder: str | os.PathLike[str]) -> Path:
    """`folder` as a Path, if there is a folder or nothing yet; else `BadInput`. For use before long work."""
    path = path_of(folder)
    if path.exists() and not path.is_dir():
        raise BadInput(f"{name_of(path)} is a file, and a folder is to be written there: give another name")
    return path


def numbered_paths(path: str | os.PathLike[str], count: int) -> list[Path]:
    """Where `count` pictures go: `path` itself for one; g-0.png, g-1.png, ... beside g.png for several."""
    path = path_of(path)
    return [path] if count == 1 else [path.with_name(f"{path.stem}-{i}{path.suffix}") for i in range(count)]


def replaceable(path: Path) -> None:
    """Raises `BadInput` where no ordinary file can come to stand at `path`, or replace the one that stands there."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        folder = next((above for above in path.absolute().parents if os.path.lexists(above)), None)
        if folder is not None and not folder.is_dir():
            raise BadInput(f"{name_of(path)} can't be written: {name_of(folder)} is not a folder") from None
        if folder is not None and not os.access(folder, os.W_OK | os.X_OK):
            raise BadInput(f"{name_of(path)} can't be written: {name_of(folder)} allows no new files") from None
        return
    except (OSError, ValueError) as error:
        raise BadInput(f"{name_of(path)} can't be written: {getattr(error, 'strerror', None) or error}") from None
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "not an ordinary file"
        raise BadInput(f"{name_of(path)} can't be written: it is {kind}")


def _identity(path: Any) -> Any:
    """Equal for two paths of one file: device and inode where it exists, else the path with links followed."""
    path = path_of(path)
    try:
        status = path.stat()
        return status.st_dev, status.st_ino
    except (OSError, ValueError):
        return os.path.normcase(os.path.realpath(os.path.abspath(path)))
