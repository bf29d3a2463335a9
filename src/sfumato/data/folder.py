"""Pictures of a folder with their captions and classes, as `datasets` reads imagefolders.

A metadata.jsonl or metadata.csv, in the folder or below it, lists pictures beside it or below: `file_name`, and keys of
one's own. Without any, every picture counts, its captions the lines of the .txt of its name. Hidden files and folders
(.name) and those of tools (__name) are not data.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from sfumato.data.buckets import bucketed
from sfumato.data.dataset import Dataset, DataSource, captions_of, divided, hidden, labelled, register
from sfumato.data.picture_files import PictureFiles, readable
from sfumato.element.section import Section
from sfumato.picture import BadInput
from sfumato.progress import say

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
TABLES = ("metadata.jsonl", "metadata.csv")


@register
class Folder(DataSource):
    """Pictures of a folder with captions from metadata.jsonl or .csv (key `text`) or from a .txt file beside each.

    `label` says where a picture's class stands: a key of the metadata, or "folder", the name of its subfolder.
    """

    kind: Literal["folder"]
    path: Path
    size: Annotated[int, Field(ge=16, le=1024)] = 64
    text: str = "text"
    label: str | None = None

    def open(self, held_back: int, home: Path, workers: int, grey: bool = False) -> tuple[Dataset, Dataset]:
        """See `DataSource`."""
        found, files = self._readable(home, workers)
        return self._opened(found, files, held_back, home, workers)

    def beside(self, where: Beside, held_back: int, home: Path, workers: int) -> tuple[Dataset, Dataset]:
        """The pictures that stand beside those of `open`: as many, in the same order, divided as they are."""
        found, _ = self._readable(home, workers)
        others = readable([_counterpart(entry, self.path, where) for entry in found], home, workers, self.path)
        if len(others) < len(found):
            missing = found[int(np.setdiff1d(np.arange(len(found)), others.rows)[0])]
            raise BadInput(f"{self.path}: what stands beside {missing.path} can't be read: mend it, or take both out")
        return self._opened(found, others, held_back, home, workers)

    def buckets(self, step: int, home: Path, workers: int) -> tuple[Dataset, ...]:
        """See `DataSource`."""
        found, files = self._readable(home, workers)
        said = [entry.captions(self.text) for entry in found]
        return tuple(part for _, part in bucketed(files, said, _where(found, self), self.size, step, home, workers))

    def _readable(self, home: Path, workers: int) -> tuple[list[Entry], PictureFiles]:
        found = entries(self.path)
        files = readable([entry.path for entry in found], home, workers, self.path)
        return [found[i] for i in files.rows], files

    def _opened(
        self, found: list[Entry], files: PictureFiles, held_back: int, home: Path, workers: int
    ) -> tuple[Dataset, Dataset]:
        pictures, key = files.pictures((self.size, self.size), home, workers)
        captions = [entry.captions(self.text) for entry in found]
        names = tuple(entry.path.stem for entry in found)
        source = Dataset(pictures, captions, key, words=_where(found, self), names=names)
        if self.label is not None:
            source = labelled(source, _classes(self, found), self.path)
        return divided(source, held_back, self.path)


class Beside(Section):
    """Where a second picture stands beside each: under the key `column` of metadata.jsonl, as a path from there, or in
    the folder `folder` under the same name."""

    column: str | None = None
    folder: Path | None = None

    @model_validator(mode="after")
    def _one(self) -> Beside:
        if (self.column is None) == (self.folder is None):
            raise ValueError("say one of 'column', a key of metadata.jsonl, and 'folder', pictures of the same names")
        return self


@dataclass
class Entry:
    """A picture, and what its metadata say of it; without metadata the lines of its .txt under the key "text"."""

    path: Path
    said: dict[str, Any] = field(default_factory=dict)
    table: Path = Path()

    @property
    def listed(self) -> bool:
        """Whether a table of metadata lists it."""
        return self.table != Path()

    def captions(self, text: str) -> list[str]:
        """One or several; without any the empty one."""
        return captions_of(self.said.get(text if self.listed else "text"))


def entries(folder: Path) -> list[Entry]:
    """The pictures of a folder and below it, those of the metadata in their order, otherwise by name.

    Raises BadInput when there are no pictures, or where a line of the metadata is wrong.
    """
    if not folder.is_dir():
        raise BadInput(f"data.path: there is no folder {folder}")
    files = [path for path in sorted(folder.rglob("*")) if not hidden(path.relative_to(folder).parts)]
    pictures = [path for path in files if path.suffix.lower() in SUFFIXES]
    tables = [path for path in files if path.name in TABLES and path.is_file()]
    for table in tables:
        if table.name == TABLES[0] and table.with_name(TABLES[1]) in tables:
            raise BadInput(f"{table.parent} has both {' and '.join(TABLES)}: keep one of them")
    if not tables:
        found = [Entry(path, {"text": _beside(path)}) for path in pictures]
    else:
        found = [entry for table in tables for entry in _rows(table)]
        listed = {entry.path.resolve() for entry in found}
        if count := sum(path.resolve() not in listed for path in pictures):
            say(f"{folder}: {count} pictures that its metadata don't list are left out")
    if not found:
        raise BadInput(f"{folder} holds no pictures ({', '.join(sorted(SUFFIXES))} or a metadata.jsonl or .csv)")
    return found


def _counterpart(entry: Entry, home: Path, where: Beside) -> Path:
    """The picture that stands beside another."""
    if where.column is not None:
        name = entry.said.get(where.column)
        if not isinstance(name, str) or not (entry.table.parent / name).is_file():
            raise BadInput(f"{entry.path}: the key '{where.column}' of its metadata names no picture that is there")
        return entry.table.parent / name
    assert where.folder is not None
    place = where.folder / entry.path.relative_to(home)
    for suffix in (entry.path.suffix, *sorted(SUFFIXES)):
        if (found := place.with_suffix(suffix)).is_file():
            return found
    raise BadInput(f"{where.folder} holds no picture of the name of {entry.path}")


def _beside(picture: Path) -> list[str]:
    path = picture.with_suffix(".txt")
    return [line.strip() for line in text_of(path).split("\n") if line.strip()] if path.is_file() else []


def _rows(table: Path) -> Iterator[Entry]:
    read = _csv if table.suffix == ".csv" else _jsonl
    for number, row in read(table):
        name = row.get("file_name") if isinstance(row, dict) else None
        if not isinstance(name, str):
            what = "row" if table.suffix == ".csv" else "JSON object"
            raise BadInput(f"{table} line {number} is no {what} with the key 'file_name'")
        path = table.parent / name
        if not path.is_file():
            raise BadInput(f"{table} line {number} names {name}, which isn't there")
        yield Entry(path, row, table)


def _jsonl(table: Path) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text_of(table).split("\n"), 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError):
                yield number, None


def _csv(table: Path) -> Iterator[tuple[int, Any]]:
    reader = csv.DictReader(io.StringIO(text_of(table), newline=""), strict=True)
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise BadInput(f"{table} line {reader.line_num} can't be read as .csv ({error})") from error


def text_of(path: Path) -> str:
    """What a text file holds. Raises BadInput where it is not in UTF-8."""
    try:
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} can't be read as text in UTF-8: save it so") from error


def _classes(data: Folder, found: list[Entry]) -> list[object]:
    """The class of each file: the name of its subfolder, or a key of its metadata."""
    if data.label == "folder":
        return [entry.path.parent.name if entry.path.parent != data.path else None for entry in found]
    if not any(entry.listed for entry in found):
        raise BadInput(
            f"data.label: there is no {data.path / TABLES[0]} with the key '{data.label}'; say 'folder' for subfolders"
        )
    return [entry.said.get(str(data.label)) for entry in found]


def _where(found: list[Entry], data: Folder) -> str:
    """Where captions are looked for, and what else there is."""
    if not any(entry.listed for entry in found):
        return f"{data.path}: a .txt of its name beside each picture, or a metadata.jsonl"
    keys = dict.fromkeys(key for entry in found for key in entry.said)
    return f"the key '{data.text}' of the metadata in {data.path}, which have {', '.join(map(str, keys))} (data.text)"
