"""What the store of input pictures holds, and how it is emptied."""

from __future__ import annotations

import contextlib
import re
import time
from dataclasses import dataclass
from pathlib import Path

from sfumato.picture.colour import orientation
from sfumato.picture.door import MAX_PIXELS, opened
from sfumato.picture.errors import BadInput, unsaid
from sfumato.picture.store import MASK, pictures_folder

_NAME = re.compile(rf"([0-9a-f]{{64}})(-[0-9a-f]{{16}})?({MASK})?\.[a-z]{{3,4}}")


@dataclass(frozen=True)
class Stored:
    """A file in the store: the hash of its pixels, its size in bytes, when it was last used (seconds since 1970), the
    size of its picture (None if it is damaged)."""

    path: Path
    sha256: str
    bytes: int
    used: float
    size: tuple[int, int] | None
    mask: bool


def stored() -> list[Stored]:
    """Every picture in the store, the one that was used last first."""
    found = []
    for path in pictures_folder().glob("??/*"):
        name = _NAME.fullmatch(path.name)
        with contextlib.suppress(OSError):
            if name:
                status = path.stat()
                found.append(Stored(path, name[1], status.st_size, status.st_mtime, _size(path), name[3] is not None))
    return sorted(found, key=lambda each: each.used, reverse=True)


def prune(older_than: float = 0.0, *, dry_run: bool = False) -> list[Stored]:
    """Remove the pictures that were not used for `older_than` seconds (0: all), and return what was removed.

    dry_run: only return what would be. Recipes that name a removed picture can't be redone until it is given again.
    """
    gone = [each for each in stored() if time.time() - each.used >= older_than]
    for each in [] if dry_run else gone:
        try:
            each.path.unlink(missing_ok=True)
        except OSError as error:
            raise BadInput(f"{each.path} can't be removed: {error.strerror}") from None
        with contextlib.suppress(OSError):  # not empty
            each.path.parent.rmdir()
    return gone


def _size(path: Path) -> tuple[int, int] | None:
    try:
        with opened(path, "", MAX_PIXELS, unsaid) as image:
            return image.size if orientation(image) < 5 else (image.height, image.width)
    except BadInput:
        return None
