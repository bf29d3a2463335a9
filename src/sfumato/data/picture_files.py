"""Files of pictures, before they are trained on: which of them can be read, how large they are, and what they hold.

What is made of them is kept under the hash of what the files hold: one that was moved or touched costs nothing, one
that was changed is read anew. The hash itself is kept for as long as a file's size and times stay as they are.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from sfumato.data.array_cache import digest
from sfumato.data.dataset import Span, computed, cut, kept, stamp
from sfumato.picture import BadInput, PictureWarning, open_picture
from sfumato.progress import say

MOST = 20  # files that are said to be bad, each in a line


class Packed(Protocol):
    """A file inside another."""

    name: str

    def read(self) -> bytes: ...


@dataclass(frozen=True)
class PictureFiles:
    """Files that can be read. sizes: (n, 2), the width and height of each, upright. hashes: (n,), of what they hold.
    rows: the places that they had among those that were asked for."""

    paths: Sequence[Path]
    sizes: np.ndarray
    hashes: np.ndarray
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.paths)

    def part(self, rows: np.ndarray) -> PictureFiles:
        """Some of them."""
        return PictureFiles(
            [self.paths[i] for i in rows.tolist()], self.sizes[rows], self.hashes[rows], self.rows[rows]
        )

    def pictures(self, size: tuple[int, int], home: Path, workers: int) -> tuple[np.ndarray, str]:
        """uint8 (n, height, width, 3): each scaled until it covers `size`, its middle cut out; and a key that says what
        they were made from."""
        key = digest(size, self.hashes.tolist())
        return kept(home, "pictures", key, size, len(self), workers, partial(_cut, self.paths, size)), key


def readable(paths: Sequence[Path], home: Path, workers: int, origin: Path) -> PictureFiles:
    """Those of the files that are whole pictures; the others are listed, with what is wrong with each, and left out.

    Every file is read once; what was found is kept in `home`. Raises BadInput where none is left.
    """
    key = digest([_stamp(path) for path in paths])
    rows, found = whole(paths, key, home, workers, origin)
    sizes, hashes = (np.array(found[name][rows]) for name in ("size", "hash"))
    return PictureFiles([paths[i] for i in rows.tolist()], sizes, hashes, rows)


def _stamp(path: Path) -> tuple[object, ...]:
    """What tells whether a file has changed; its name alone of a link that leads nowhere."""
    return (*stamp(path), path.stat().st_ctime_ns) if path.exists() else (str(path),)


def whole(
    files: Sequence[Path] | Sequence[Packed], key: str, home: Path, workers: int, origin: Path
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The places of the files that are whole pictures, and of all files their sizes and hashes; see `readable`. What
    was found is kept under `key`."""
    shapes = {"size": ((2,), np.int32), "hash": ((), np.uint64)}
    found = computed(home, "picture files", key, shapes, len(files), workers, partial(_examined, files))
    can = found["size"][:, 0] > 0
    if bad := [files[i] for i in np.flatnonzero(~can).tolist()]:
        if len(bad) == len(files):
            raise BadInput(f"{origin}: no picture there can be read; {_what_is_wrong(bad[0])}")
        say(f"{origin}: {len(bad):,} of {len(files):,} pictures can't be read and are left out")
        for file in bad[:MOST]:
            say(f"  {_what_is_wrong(file)}")
        if len(bad) > MOST:
            say(f"  and {len(bad) - MOST:,} more")
    return np.flatnonzero(can), found


def _examined(files: Sequence[Path] | Sequence[Packed], span: Span) -> dict[str, np.ndarray]:
    """The size of each picture, 0 x 0 of one that can't be read, and the hash of its file."""
    sizes, hashes = np.zeros((span[1] - span[0], 2), np.int32), np.zeros(span[1] - span[0], np.uint64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PictureWarning)  # said when the picture is read
        for i, file in enumerate(files[slice(*span)]):
            try:
                data = file.read_bytes() if isinstance(file, Path) else file.read()
                sizes[i] = open_picture(file if isinstance(file, Path) else data).size
                hashes[i] = int.from_bytes(hashlib.sha256(data).digest()[:8], "big")
            except (BadInput, OSError):
                continue
    return {"size": sizes, "hash": hashes}


def _what_is_wrong(file: Path | Packed) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PictureWarning)
        try:
            open_picture(file if isinstance(file, Path) else file.read())
        except (BadInput, OSError) as error:
            return str(error) if isinstance(file, Path) else f"{file.name}: {error}"
    return f"{file if isinstance(file, Path) else file.name} could not be read, and can be now: run it again"


def _cut(paths: Sequence[Path], size: tuple[int, int], span: Span) -> np.ndarray:
    return np.stack([cut(path, size) for path in paths[slice(*span)]])
