"""Training pictures with captions: drawn by the built-in world or read from a folder, kept as uint8 arrays."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sfumato.picture import BadInput, open_picture

from . import cache
from . import recipe as r

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


@dataclass(frozen=True)
class Source:
    """n pictures, uint8 (n, S, S, 3), and the captions of each; `key` hashes what they were made from."""

    pictures: np.ndarray
    captions: list[list[str]]
    key: str

    def __len__(self) -> int:
        return len(self.pictures)

    def batch(self, indices: np.ndarray) -> Tensor:
        """Pictures as float32 (B, 3, S, S) in [-1, 1]."""
        pixels = torch.from_numpy(self.pictures[np.asarray(indices)])
        return pixels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1).contiguous()


def open_sources(data: r.Vignettes | r.Folder, held_back: int, home: Path, workers: int) -> tuple[Source, Source]:
    """The pictures to train on and `held_back` others to measure on (of a folder: its last ones, at most a tenth)."""
    match data:
        case r.Vignettes():
            after = data.model_copy(update={"first": data.first + data.count, "count": held_back})
            return _vignettes(data, home, workers), _vignettes(after, home, workers)
        case r.Folder():
            whole = _folder(data, home, workers)
            cut = len(whole) - min(held_back, max(len(whole) // 10, 1))
            if cut < 1:
                raise BadInput(f"{data.path} holds {len(whole)} picture: training needs at least two")
            return (
                Source(whole.pictures[:cut], whole.captions[:cut], whole.key + "-train"),
                Source(whole.pictures[cut:], whole.captions[cut:], whole.key + "-test"),
            )


def _vignettes(data: r.Vignettes, home: Path, workers: int) -> Source:
    key = r.digest(data.model_dump(mode="json", exclude={"repeat"}), _world_version())
    spans = partial(_in_processes, partial(_draw, data.seed, data.first, data.size, data.split), workers)
    shape = {"pictures": ((data.size, data.size, 3), np.uint8)}
    captions = cache.lines(home, "captions", key, lambda: _vignette_captions(data))
    pictures = cache.arrays(home, "vignettes", key, shape, spans, data.count)["pictures"]
    return Source(pictures, captions, key)


def order(data: r.Vignettes | r.Folder, count: int) -> np.ndarray:
    """Indices of the `count` pictures; those that have attributes of `data.repeat` as often as the largest says."""
    if not (isinstance(data, r.Vignettes) and data.repeat):
        return np.arange(count)
    from sfumato.data import vignettes

    def times(index: int) -> int:
        scene = vignettes.scene(data.seed, index, data.split)
        return max((n for name, n in data.repeat.items() if scene[name] != "none"), default=1)

    return np.repeat(np.arange(count), [times(data.first + i) for i in range(count)])


def _vignette_captions(data: r.Vignettes) -> Iterator[list[str]]:
    from sfumato.data import vignettes

    for index in range(data.first, data.first + data.count):
        yield list(vignettes.scene(data.seed, index, data.split).captions)


def _draw(seed: int, first: int, size: int, split: Any, span: tuple[int, int]) -> tuple[int, dict[str, np.ndarray]]:
    from sfumato.data import vignettes

    rows = [vignettes.draw(vignettes.scene(seed, first + i, split), size, truth=False).image for i in range(*span)]
    return span[0], {"pictures": np.stack(rows)}


def _world_version() -> str:
    """A hash of the code that draws: pictures that were cached with other code are drawn again."""
    files = sorted(Path(str(resources.files("sfumato.data.vignettes"))).rglob("*.py"))
    return r.digest([path.read_text(encoding="utf-8") for path in files])


def _in_processes(work, workers: int, spans: list[tuple[int, int]]) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    if workers == 1 or len(spans) < 2:
        yield from map(work, spans)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(work, spans)


def _folder(data: r.Folder, home: Path, workers: int) -> Source:
    files, captions = listing(data.path, data.text)
    stamps = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    key = r.digest(data.model_dump(mode="json"), stamps)
    shape = {"pictures": ((data.size, data.size, 3), np.uint8)}
    spans = partial(_in_processes, partial(_read, files, data.size), workers)
    return Source(cache.arrays(home, "pictures", key, shape, spans, len(files))["pictures"], captions, key)


def _read(files: list[Path], size: int, span: tuple[int, int]) -> tuple[int, dict[str, np.ndarray]]:
    return span[0], {"pictures": np.stack([square(path, size) for path in files[span[0] : span[1]]])}


def square(path: Path, size: int) -> np.ndarray:
    """The picture's middle square, resized to `size`."""
    from PIL import Image, ImageOps

    return np.asarray(ImageOps.fit(open_picture(path), (size, size), Image.Resampling.LANCZOS))


def listing(folder: Path, text: str = "text") -> tuple[list[Path], list[list[str]]]:
    """Pictures of a folder and their captions: metadata.jsonl (`file_name`, `text`: a string or several), else .txt.

    A picture without a caption gets the empty one. Raises BadInput when there are no pictures or a line is wrong.
    """
    if not folder.is_dir():
        raise BadInput(f"data.path: there is no folder {folder}")
    table = folder / "metadata.jsonl"
    if table.is_file():
        files, captions = [], []
        for number, line in enumerate(table.read_text(encoding="utf-8").splitlines(), 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                path, said = folder / row["file_name"], row.get(text, "")
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise BadInput(f"{table} line {number} is no JSON object with the key 'file_name'") from error
            if not path.is_file():
                raise BadInput(f"{table} line {number} names {row['file_name']}, which isn't there")
            files.append(path)
            captions.append([said] if isinstance(said, str) else [str(s) for s in said] or [""])
    else:
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
        captions = []
        for path in files:
            beside = path.with_suffix(".txt")
            lines = beside.read_text(encoding="utf-8").splitlines() if beside.is_file() else []
            captions.append([line.strip() for line in lines if line.strip()] or [""])
    if not files:
        raise BadInput(f"{folder} holds no pictures ({', '.join(sorted(SUFFIXES))} or a metadata.jsonl)")
    return files, captions
