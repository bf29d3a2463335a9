"""Files of adapters: which one a recipe means, by its name and what is in it, and where it lies on this machine.

A recipe holds no path: it may go to strangers, and one from a stranger must not open what it likes. Where a file was
when it was used is noted in the user's own folder, so that redo finds it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, ValidationInfo
from pydantic.dataclasses import dataclass

from sfumato.element import nearest
from sfumato.picture import BadInput, path_of
from sfumato.picture.atomic import write_atomically
from sfumato.picture.errors import name_of, printable
from sfumato.picture.store import home

SAFE = ".safetensors"
PICKLED = (".pt", ".pth", ".bin", ".ckpt")
_places: dict[str, Path] = {}  # where the files of this process are, by their hash
_pickles: set[str] = set()  # those that may be read though they are pickles


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class AdapterFile:
    """A file of weights: its name without folders, and the SHA-256 of its bytes (64 hex digits).

    What a recipe keeps of an adapter: enough to know the same file again wherever it lies, and nothing of this
    machine's folders. It is looked up among the files that were opened, and beside the model.
    """

    name: Annotated[str, Field(pattern=r"^[^/\\\x00]{1,255}$", description="a file's name, without folders")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="64 hexadecimal digits")]

    @property
    def stem(self) -> str:
        return Path(self.name).stem

    @property
    def path(self) -> Path:
        """Where it is. `BadInput` if it is nowhere, or if another stands in its place."""
        return find(self)


def open_file(path: str | os.PathLike[str], *, allow_pickle: bool = False) -> AdapterFile:
    """The file at `path`. Raises `BadInput` if there is none, or if it is a pickle, which may hold more than numbers:
    with `allow_pickle` it is read all the same, by torch's reader of numbers alone."""
    path = path_of(path)
    if not path.is_file():
        raise BadInput(f"There is no file {name_of(path)}: give the path of a {SAFE} file.")
    if path.suffix.lower() not in (SAFE, *PICKLED):
        raise BadInput(f"{name_of(path)} is no file of weights: give a {SAFE} file.")
    file = AdapterFile(path.name, _hash(path))
    if path.suffix.lower() != SAFE and allow_pickle:
        _pickles.add(file.sha256)
    check_pickle(file)
    _note(file, path)
    return file


def check_new(path: Path) -> None:
    """Raises `BadInput` where no new file of an adapter can be written as `path`."""
    if path.suffix != SAFE:
        raise BadInput(f"{name_of(path)} is no {SAFE}: give the file such a name")
    if path.exists():
        raise BadInput(f"{name_of(path)} is there already: name a new file")


def check_pickle(file: AdapterFile) -> None:
    """Raises `BadInput` for a pickle that nobody allowed."""
    if not file.name.lower().endswith(SAFE) and file.sha256 not in _pickles:
        raise BadInput(
            f"{printable(file.name, 60)} is a pickle, which may run a stranger's code: give a {SAFE} file, or allow it "
            "with --allow-pickle (in Python open_file(path, allow_pickle=True))."
        )


def find(file: AdapterFile) -> Path:
    """Where a file is: where this process or an earlier one used it, or in a folder of adapters.

    Raises `BadInput` if it is nowhere, which says so where another of its name is.
    """
    known = [_places[file.sha256]] if file.sha256 in _places else []
    with contextlib.suppress(OSError, ValueError):
        known.append(Path((_notes() / file.sha256).read_text(encoding="utf-8")))
    named = [folder / file.name for kind in KINDS for folder in folders(kind)]
    found = [path for path in (*known, *named) if path.is_file()]
    for path in found:
        if _hash(path) == file.sha256:
            _places[file.sha256] = path
            return path
    name = printable(file.name, 60)
    if found:
        raise BadInput(
            f"{name} is another file here than the recipe's ({_hash(found[0])[:12]}, there {file.sha256[:12]}): give "
            "the one that was used, or give this one by --lora to use it all the same."
        )
    raise BadInput(f"The recipe's {name} ({file.sha256[:12]}) is not on this machine: say where it is with --lora.")


KINDS = {"loras": "SFUMATO_LORAS", "embeddings": "SFUMATO_EMBEDDINGS", "hypernetworks": "SFUMATO_HYPERNETWORKS"}


def folders(kind: str) -> list[Path]:
    """Where files are looked for by name: ./loras, $SFUMATO_LORAS, and loras in the user's data folder; the same of
    embeddings and hypernetworks."""
    said = [path_of(each) for each in os.environ.get(KINDS[kind], "").split(os.pathsep) if each]
    return [*said, Path(kind), home() / kind]


def named(name: str, kind: str, places: Sequence[Path] = (), *, allow_pickle: bool = False) -> AdapterFile:
    """The file called `name`, with or without its ending, in a folder of that kind. `BadInput` if there is none.

    places: files and folders that are looked at first.
    """
    if not name or any(mark in name for mark in ("/", "\\", "\0")) or name in (".", ".."):
        raise BadInput(f"{printable(repr(name), 60)} is no name of a file: leave folders out.")
    endings = ("", SAFE, *PICKLED)
    for path in places:
        if path.is_file() and name in (path.stem, path.name):
            return open_file(path, allow_pickle=allow_pickle)
    searched = [*(path for path in places if path.is_dir()), *folders(kind)]
    for folder in searched:
        for ending in endings:
            path = folder / f"{name}{ending}"
            if path.suffix.lower() in (SAFE, *PICKLED) and path.is_file():
                return open_file(path, allow_pickle=allow_pickle)
    there = sorted({path.stem for folder in searched for path in _weights(folder)})
    where = f"./{kind}, {home() / kind} or ${KINDS[kind]}"
    raise BadInput(
        f"There is no {printable(name, 60)!r} among the {kind}{nearest(name, there)}: put it into {printable(where)}."
    )


def _weights(folder: Path) -> Sequence[Path]:
    with contextlib.suppress(OSError):
        return [path for path in folder.iterdir() if path.suffix.lower() in (SAFE, *PICKLED)]
    return []


def _notes() -> Path:
    return home() / "adapters"


def _note(file: AdapterFile, path: Path) -> None:
    path = path.resolve()
    if _places.get(file.sha256) == path:
        return
    _places[file.sha256] = path
    with contextlib.suppress(BadInput, OSError):
        write_atomically(_notes() / file.sha256, str(path).encode("utf-8", "surrogateescape"), private=True)


def hashes_of(file: AdapterFile) -> tuple[str, ...]:
    """The SHA-256 of a file, and that of its tensors alone, behind the header, as A1111's "Lora hashes" have it."""
    with file.path.open("rb") as opened:
        header = int.from_bytes(opened.read(8), "little") if file.name.lower().endswith(SAFE) else 0
        if not 0 < header < file.path.stat().st_size:
            return (file.sha256,)
        opened.seek(8 + header)
        return file.sha256, hashlib.file_digest(opened, "sha256").hexdigest()


def _hash(path: Path) -> str:
    stat = path.stat()
    return _hashed(path.resolve(), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=256)
def _hashed(path: Path, size: int, modified: int) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadInput(f"{name_of(path)} can't be read: {error.strerror}") from None


def _of_path(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str | os.PathLike):
        if info.mode == "json":
            raise ValueError("must be a file by its hash here ({name, sha256}), never a path")
        return open_file(value)
    return value


if TYPE_CHECKING:
    FileOf = Any  # in: a path or an AdapterFile; afterwards always an AdapterFile
else:
    FileOf = Annotated[AdapterFile, BeforeValidator(_of_path)]
