"""Webdataset tars: the files of one sample share a key, `000017.webp` beside `000017.json`, `.txt` or `.cls`.

Samples are found once, with the place of each picture in its tar, so that any of them can be read in any order.
"""

from __future__ import annotations

import json
import tarfile
import warnings
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from sfumato.data.array_cache import digest
from sfumato.data.dataset import (
    Dataset,
    DataSource,
    Span,
    captions_of,
    divided,
    hidden,
    kept,
    labelled,
    register,
    square,
    stamp,
)
from sfumato.data.picture_files import whole
from sfumato.picture import BadInput, PictureWarning

SUFFIXES = ("webp", "png", "jpg", "jpeg")


@register
class Tars(DataSource):
    """Pictures of webdataset tars, a folder of them or one: `KEY.webp` (.png, .jpg) beside `KEY.json`, .txt or .cls.

    `text` and `label` are keys of the .json; "text" and "cls" are also what the .txt and the .cls hold.
    """

    kind: Literal["tars"]
    path: Path
    size: Annotated[int, Field(ge=16, le=1024)] = 64
    text: str = "text"
    label: str | None = None

    def open(self, held_back: int, home: Path, workers: int, grey: bool = False) -> tuple[Dataset, Dataset]:
        """See `DataSource`."""
        found = samples(self.path)
        key = digest(self.model_dump(mode="json"), [stamp(path) for path in listing(self.path)])
        rows, _ = whole(found, key, home, workers, self.path)
        if len(rows) < len(found):
            found, key = [found[row] for row in rows.tolist()], digest(key, rows.tolist())
        captions = [captions_of(sample.said.get(self.text)) for sample in found]
        work = partial(_read, found, self.size)
        pictures = kept(home, "pictures", key, self.size, len(found), workers, work)
        keys = dict.fromkeys(key for sample in found for key in sample.said)
        words = (
            f"the key '{self.text}' of the samples in {self.path}, which have {', '.join(keys) or 'none'} (data.text)"
        )
        source = Dataset(pictures, captions, key, words=words)
        if self.label is not None:
            source = labelled(source, [sample.said.get(self.label) for sample in found], self.path)
        return divided(source, held_back, self.path)


@dataclass
class Sample:
    """Where a picture's bytes are, and what is said of it: the .json's keys, "text" of the .txt, "cls" of the .cls."""

    name: str
    tar: Path
    offset: int = -1
    size: int = 0
    said: dict[str, Any] = field(default_factory=dict)

    def read(self) -> bytes:
        """The bytes of the picture's file."""
        with self.tar.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


def listing(path: Path) -> list[Path]:
    """The tars of a folder in the order of their names, or the one at `path`. BadInput if there are none."""
    tars = sorted(path.glob("*.tar")) if path.is_dir() else [path]
    if not tars or not tars[0].is_file():
        raise BadInput(f"data.path: {path} is no tar and no folder of tars (uncompressed .tar, as webdataset has them)")
    return tars


def samples(path: Path) -> list[Sample]:
    """Every sample that has a picture. Raises BadInput for a damaged tar, a .json that isn't one, or no pictures."""
    found = [sample for tar in listing(path) for sample in _of(tar) if sample.offset >= 0]
    if not found:
        raise BadInput(f"{path} holds no pictures ({', '.join('.' + s for s in SUFFIXES)})")
    return found


def _of(path: Path) -> list[Sample]:
    rows: dict[str, Sample] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if member.isfile() and not hidden([part for part in member.name.split("/") if part != "."]):
                    _add(rows, tar, member, path)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise BadInput(f"{path} can't be read as an uncompressed tar ({error}): copy or pack it again") from error
    return list(rows.values())


def _add(rows: dict[str, Sample], tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    """webdataset's rule: the key is everything before the first dot of the file's name."""
    folder, slash, base = member.name.rpartition("/")
    stem, _, suffix = base.partition(".")
    key, suffix = folder + slash + stem, suffix.lower()
    sample = rows.setdefault(key, Sample(f"{path.name}/{key}", path))
    if suffix in SUFFIXES:
        sample.offset, sample.size = member.offset_data, member.size
    elif suffix in ("json", "txt", "cls"):
        file = tar.extractfile(member)
        sample.said |= _said(file.read() if file else b"", suffix, f"{path.name}/{member.name}")


def _said(data: bytes, suffix: str, name: str) -> dict[str, Any]:
    try:
        text = data.decode("utf-8-sig")
        said = json.loads(text) if suffix == "json" else {{"txt": "text", "cls": "cls"}[suffix]: text.strip()}
    except ValueError as error:
        raise BadInput(f"{name} can't be read as {'JSON' if suffix == 'json' else 'text'} in UTF-8") from error
    if not isinstance(said, dict):
        raise BadInput(f"{name} holds no JSON object: the words and the class of a picture are keys of one")
    return said


def _read(found: list[Sample], size: int, span: Span) -> np.ndarray:
    return np.stack([_square(sample, size) for sample in found[slice(*span)]])


def _square(sample: Sample, size: int) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PictureWarning)  # drawn pictures are laid on white, all of them
        return square(sample.read(), size)
