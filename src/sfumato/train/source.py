"""Training pictures with captions: drawn by the built-in world or read from a folder, kept as uint8 arrays."""

from __future__ import annotations

import json
import multiprocessing
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sfumato.picture import BadInput, PictureWarning, open_picture

from . import arrays, cache, tars
from . import recipe as r
from .labels import numbered

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


@dataclass(frozen=True)
class Source:
    """n pictures, uint8 (n, S, S, C), and the captions of each; `key` hashes what they were made from.

    `labels` are the classes (n,) as indices of the names `classes`, where the data has classes.
    """

    pictures: np.ndarray
    captions: list[list[str]]
    key: str
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.pictures)

    def batch(self, indices: np.ndarray) -> Tensor:
        """Pictures as float32 (B, C, S, S) in [-1, 1]."""
        pixels = torch.from_numpy(self.pictures[np.asarray(indices)])
        return pixels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1).contiguous()

    def part(self, rows: np.ndarray | slice, name: str) -> Source:
        """The pictures at `rows`, under a key of their own."""
        captions = [self.captions[i] for i in np.arange(len(self))[rows]]
        labels = None if self.labels is None else self.labels[rows]
        return replace(self, pictures=self.pictures[rows], captions=captions, key=f"{self.key}-{name}", labels=labels)


def open_sources(
    data: r.Vignettes | r.Folder | r.Tars | r.Arrays, held_back: int, home: Path, workers: int, grey: bool = False
) -> tuple[Source, Source]:
    """The pictures to train on and `held_back` others to measure on, at most a tenth of a given set.

    They are the last ones of a set without classes, and spread evenly over one with classes, which may be sorted.
    Grey arrays become RGB unless `grey` keeps them as one channel.
    """
    match data:
        case r.Vignettes():
            after = data.model_copy(update={"first": data.first + data.count, "count": held_back})
            return _vignettes(data, home, workers), _vignettes(after, home, workers)
        case r.Folder():
            return _divided(_folder(data, home, workers), held_back, data.path)
        case r.Tars():
            return _divided(_tars(data, home, workers), held_back, data.path)
        case r.Arrays():
            train, test = _arrays(data, grey)
            return _divided(train, held_back, data.path) if test is None else (train, test.part(slice(held_back), ""))


def _divided(whole: Source, held_back: int, path: Path) -> tuple[Source, Source]:
    n = len(whole)
    count = min(held_back, max(n // 10, 1))
    if n < 2:
        raise BadInput(f"{path} holds {n} picture: training needs at least two")
    if whole.labels is None:
        return whole.part(slice(n - count), "train"), whole.part(slice(n - count, n), "test")
    test = np.arange(count) * n // count + n // (2 * count)
    return whole.part(np.setdiff1d(np.arange(n), test), "train"), whole.part(test, "test")


def _vignettes(data: r.Vignettes, home: Path, workers: int) -> Source:
    key = r.digest(data.model_dump(mode="json", exclude={"repeat"}), world_version())
    spans = partial(_in_processes, partial(_draw, data.seed, data.first, data.size, data.split), workers)
    shape = {"pictures": ((data.size, data.size, 3), np.uint8)}
    captions = cache.lines(home, "captions", key, lambda: _vignette_captions(data))
    pictures = cache.arrays(home, "vignettes", key, shape, spans, data.count)["pictures"]
    return Source(pictures, captions, key)


def order(data: object, count: int) -> np.ndarray:
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


def world_version() -> str:
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
    key = r.digest(data.model_dump(mode="json", exclude={"label"}), stamps)
    shape = {"pictures": ((data.size, data.size, 3), np.uint8)}
    spans = partial(_in_processes, partial(_read, files, data.size), workers)
    source = Source(cache.arrays(home, "pictures", key, shape, spans, len(files))["pictures"], captions, key)
    return source if data.label is None else _labelled(source, _classes(data, files), data.path)


def _labelled(source: Source, values: Sequence[object], path: Path) -> Source:
    labels, classes = numbered(values, str(path))
    return replace(source, labels=labels, classes=classes)


def _classes(data: r.Folder, files: list[Path]) -> list[object]:
    """The class of each file: the name of its subfolder, or a key of metadata.jsonl."""
    if data.label == "folder":
        return [path.parent.name if path.parent != data.path else None for path in files]
    table = data.path / "metadata.jsonl"
    if not table.is_file():
        raise BadInput(f"data.label: there is no {table} with the key '{data.label}'; say 'folder' for subfolders")
    rows = [json.loads(line) for line in _lines(table) if line.strip()]
    return [row.get(data.label) for row in rows]


def _tars(data: r.Tars, home: Path, workers: int) -> Source:
    samples = tars.samples(data.path)
    stamps = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in tars.listing(data.path)]
    key = r.digest(data.model_dump(mode="json"), stamps)
    shape = {"pictures": ((data.size, data.size, 3), np.uint8)}
    spans = partial(_in_processes, partial(_read_tar, samples, data.size), workers)
    captions = [_captions(sample.said.get(data.text)) for sample in samples]
    source = Source(cache.arrays(home, "pictures", key, shape, spans, len(samples))["pictures"], captions, key)
    return source if data.label is None else _labelled(source, [s.said.get(data.label) for s in samples], data.path)


def _captions(said: object) -> list[str]:
    return [str(s) for s in said] or [""] if isinstance(said, list) else ["" if said is None else str(said)]


def _read_tar(samples: list[tars.Sample], size: int, span: tuple[int, int]) -> tuple[int, dict[str, np.ndarray]]:
    return span[0], {"pictures": np.stack([_square(samples[i], size) for i in range(*span)])}


def _square(sample: tars.Sample, size: int) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PictureWarning)  # drawn pictures are laid on white, all of them
        try:
            return square(sample.read(), size)
        except BadInput as error:
            raise BadInput(f"{sample.name}: {error}") from error


def _arrays(data: r.Arrays, grey: bool) -> tuple[Source, Source | None]:
    train, test, classes = arrays.load(data)
    stamp = (data.path.stat().st_size, data.path.stat().st_mtime_ns) if data.path.is_file() else "digits"
    key = r.digest(data.model_dump(mode="json"), stamp, "shuffled")

    def source(pair: arrays.Pairs, name: str) -> Source:
        x, y = pair
        pictures = x if grey or x.shape[3] == 3 else x.repeat(3, 3)
        return Source(pictures, [[classes[i]] for i in y], key + name, y, classes)

    return source(train, ""), None if test is None else source(test, "-test")


def _read(files: list[Path], size: int, span: tuple[int, int]) -> tuple[int, dict[str, np.ndarray]]:
    return span[0], {"pictures": np.stack([square(path, size) for path in files[span[0] : span[1]]])}


def square(path: Path | bytes, size: int) -> np.ndarray:
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
            captions.append(_captions(said))
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
