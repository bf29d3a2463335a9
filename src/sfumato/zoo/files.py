"""What lies in a model's folder. No torch."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path


def files_of(folder: Path) -> list[Path]:
    """All files of a model's folder, those of parts that are links to elsewhere too; a file is its own."""
    if folder.is_file():
        return [folder]
    links = sorted(path for path in folder.iterdir() if path.is_symlink() and path.is_dir())
    return [path for place in (folder, *links) for path in sorted(place.rglob("*")) if path.is_file()]


def stamp(path: Path) -> str:
    """A hash of the names, sizes and times of a folder's files, or of one file's; words about a model don't count."""
    folder, files = (path, files_of(path)) if path.is_dir() else (path.parent, [path])
    stats = [(each.relative_to(folder).as_posix(), each.stat()) for each in files if each.suffix != ".md"]
    told = [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
    return blake2b(repr(told).encode(), digest_size=8).hexdigest()
