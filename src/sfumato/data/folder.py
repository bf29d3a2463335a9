"""Pictures of a folder with their captions: metadata.jsonl or .txt files beside them."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from sfumato.data import array_cache
from sfumato.data.source import Source, captions_of, divided, in_processes, labelled, square
from sfumato.element.section import Section
from sfumato.picture import BadInput

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


class Folder(Section):
    """Pictures of a folder with captions from metadata.jsonl (key `text`) or from a .txt file beside each.

    `label` says where a picture's class stands: a key of metadata.jsonl, or "folder", the name of its subfolder.
    """

    kind: Literal["folder"]
    path: Path
    size: Annotated[int, Field(ge=16, le=1024)] = 64
    text: str = "text"
    label: str | None = None

    def open(self, held_back: int, home: Path, workers: int, grey: bool = False) -> tuple[Source, Source]:
        """See `sfumato.data.source.Data`."""
        files, captions = listing(self.path, self.text)
        stamps = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
        key = array_cache.digest(self.model_dump(mode="json", exclude={"label"}), stamps)
        shape = {"pictures": ((self.size, self.size, 3), np.uint8)}
        spans = partial(in_processes, partial(_read, files, self.size), workers)
        pictures = array_cache.arrays(home, "pictures", key, shape, spans, len(files))["pictures"]
        source = Source(pictures, captions, key)
        if self.label is not None:
            source = labelled(source, _classes(self, files), self.path)
        return divided(source, held_back, self.path)


def _classes(data: Folder, files: list[Path]) -> list[object]:
    """The class of each file: the name of its subfolder, or a key of metadata.jsonl."""
    if data.label == "folder":
        return [path.parent.name if path.parent != data.path else None for path in files]
    table = data.path / "metadata.jsonl"
    if not table.is_file():
        raise BadInput(f"data.label: there is no {table} with the key '{data.label}'; say 'folder' for subfolders")
    rows = [json.loads(line) for line in _lines(table) if line.strip()]
    return [row.get(data.label) for row in rows]


def _read(files: list[Path], size: int, span: tuple[int, int]) -> tuple[int, dict[str, np.ndarray]]:
    return span[0], {"pictures": np.stack([square(path, size) for path in files[span[0] : span[1]]])}


def listing(folder: Path, text: str = "text") -> tuple[list[Path], list[list[str]]]:
    """Pictures of a folder and their captions: metadata.jsonl (`file_name`, `text`: a string or several), else .txt.

    A picture without a caption gets the empty one. Raises BadInput when there are no pictures or a line is wrong.
    """
    if not folder.is_dir():
        raise BadInput(f"data.path: there is no folder {folder}")
    table = folder / "metadata.jsonl"
    if table.is_file():
        files, captions = [], []
        for number, line in enumerate(_lines(table), 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                path, said = folder / row["file_name"], row.get(text)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise BadInput(f"{table} line {number} is no JSON object with the key 'file_name'") from error
            if not path.is_file():
                raise BadInput(f"{table} line {number} names {row['file_name']}, which isn't there")
            files.append(path)
            captions.append(captions_of(said))
    else:
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
        captions = []
        for path in files:
            beside = path.with_suffix(".txt")
            lines = _lines(beside) if beside.is_file() else []
            captions.append([line.strip() for line in lines if line.strip()] or [""])
    if not files:
        raise BadInput(f"{folder} holds no pictures ({', '.join(sorted(SUFFIXES))} or a metadata.jsonl)")
    return files, captions


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} can't be read as text in UTF-8: save it so") from error
