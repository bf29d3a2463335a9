"""Training pictures with captions and classes, kept as uint8 arrays: what every reader of this room answers."""

from __future__ import annotations

import multiprocessing
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import numpy as np
import torch
from PIL import Image, ImageOps
from pydantic import BeforeValidator, SerializeAsAny
from torch import Tensor

from sfumato.data import array_cache
from sfumato.element import Registry
from sfumato.element.section import Section, of_kind
from sfumato.picture import BadInput, open_picture
from sfumato.picture.errors import printable
from sfumato.progress import say

Span = tuple[int, int]
OF_FILES = ("names", "lost")


@dataclass(frozen=True)
class Dataset:
    """n pictures, uint8 (n, H, W, C), and the captions of each; `key` hashes what they were made from.

    `labels` are the classes (n,) as indices of the names `classes`, where the data has classes. `words` says where
    captions were looked for. `names` are those of the pictures' files, where they have some; `lost` is the share of
    each picture that was cut off, where it is known.
    """

    pictures: np.ndarray
    captions: list[list[str]]
    key: str
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    words: str = ""
    names: tuple[str, ...] = ()
    lost: tuple[float, ...] = ()

    def __len__(self) -> int:
        return len(self.pictures)

    def batch(self, indices: np.ndarray) -> Tensor:
        """Pictures as float32 (B, C, H, W) in [-1, 1]."""
        pixels = torch.from_numpy(self.pictures[np.asarray(indices)])
        return pixels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1).contiguous()

    def part(self, rows: np.ndarray | slice, name: str) -> Dataset:
        """The pictures at `rows`, under a key of their own, which says which they are."""
        chosen = np.arange(len(self))[rows].tolist()
        captions = [self.captions[i] for i in chosen]
        labels = None if self.labels is None else self.labels[rows]
        told = {each: tuple(np.array(getattr(self, each), object)[rows]) for each in OF_FILES if getattr(self, each)}
        key = array_cache.digest(self.key, name, chosen)
        return replace(self, pictures=self.pictures[rows], captions=captions, key=key, labels=labels, **told)

    def beside_mirrored(self, which: np.ndarray) -> Dataset:
        """The pictures, and behind them those of `which` (n,), bool, mirrored, with the same captions."""
        rows = np.flatnonzero(which)
        both = np.concatenate([self.pictures, self.pictures[rows, :, ::-1]])
        captions = [*self.captions, *(self.captions[i] for i in rows)]
        labels = None if self.labels is None else np.concatenate([self.labels, self.labels[rows]])
        key = array_cache.digest(self.key, "mirrored", rows.tolist())
        told = {name: (*each, *(each[i] for i in rows)) for name in OF_FILES if (each := getattr(self, name))}
        return replace(self, pictures=both, captions=captions, key=key, labels=labels, **told)

    def need_captions(self) -> None:
        """Raises BadInput where no picture has a caption; where some have none, says how many."""
        none = sum(not any(caption.strip() for caption in said) for said in self.captions)
        if none == len(self):
            raise BadInput(f"no picture has a caption, and words are to be learnt: there are none in {self.words}")
        if none:
            say(f"{none:,} of {len(self):,} pictures have no caption in {self.words}: they count as said nothing of")


class DataSource(Section):
    """A section `data` of a training recipe: what pictures there are, and how they are read.

    One file a source, found by its `kind` once it is decorated by `register`.
    """

    kind: Any
    size: int

    def open(self, held_back: int, home: Path, workers: int, grey: bool = False) -> tuple[Dataset, Dataset]:
        """The pictures to train on and `held_back` others to measure on, at most a tenth of a given set.

        They are the last ones of a set without classes, and spread evenly over one with classes, which may be sorted.
        Grey arrays become RGB unless `grey` keeps them as one channel. `home` is the folder of kept arrays.
        """
        raise NotImplementedError

    def buckets(self, step: int, home: Path, workers: int) -> tuple[Dataset, ...]:
        """The pictures to train on, one data set for each shape: sides that are multiples of `step`, with an area near
        size^2. All are squares where a source has nothing to say of shapes."""
        return (self.open(0, home, workers)[0],)


DATA: Registry[type[DataSource]] = Registry("kind of data", "sfumato.data.sources")
S = TypeVar("S", bound=DataSource)


def register(source: type[S]) -> type[S]:
    """Decorator: recipes name the source as its field `kind` says."""
    (kind,) = get_args(source.model_fields["kind"].annotation)
    DATA.add(kind, source)
    return source


Data = Annotated[SerializeAsAny[DataSource], BeforeValidator(of_kind(DATA, "data", "vignettes"))]
"""Any registered source."""


def divided(whole: Dataset, held_back: int, path: Path) -> tuple[Dataset, Dataset]:
    """The pictures to train on and those held back, as `Data.open` has it. BadInput for fewer than two pictures."""
    n = len(whole)
    count = min(held_back, max(n // 10, 1))
    if not held_back:
        return whole, whole.part(slice(0, 0), "test")
    if n < 2:
        raise BadInput(f"{path} holds {n} picture: training needs at least two")
    if whole.labels is None:
        return whole.part(slice(n - count), "train"), whole.part(slice(n - count, n), "test")
    test = np.arange(count) * n // count + n // (2 * count)
    return whole.part(np.setdiff1d(np.arange(n), test), "train"), whole.part(test, "test")


def numbered(values: Sequence[object], origin: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """The class of each picture as an index (n,), int64, whatever a data set calls it, and the names by their indices.

    Names are sorted, by value where all of them are whole numbers. Raises BadInput where a picture has no class.
    """
    if missing := sum(_nothing(value) for value in values):
        raise BadInput(
            f"{origin}: {missing} of {len(values)} pictures have no class there; check data.label, or leave it out"
        )
    said = [str(value).strip() for value in values]
    names = sorted(set(said), key=lambda name: (0, int(name), "") if name.isdecimal() else (1, 0, name))
    index = {name: i for i, name in enumerate(names)}
    return np.array([index[name] for name in said], dtype=np.int64), tuple(names)


def _nothing(value: object) -> bool:
    """Whether it is no class: none is said, or more than a word."""
    return value is None or isinstance(value, list | dict) or not str(value).strip()


def labelled(source: Dataset, values: Sequence[object], path: Path) -> Dataset:
    """The source with the classes that `values` are, one a picture."""
    labels, classes = numbered(values, str(path))
    return replace(source, labels=labels, classes=classes)


def captions_of(said: object) -> list[str]:
    """The captions that a key holds: a string or several; without any the empty one.

    Raises BadInput for anything else.
    """
    texts = said if isinstance(said, list) else ["" if said is None else said]
    for text in texts:
        if isinstance(text, bool) or not isinstance(text, str | int | float):
            raise BadInput(f"a caption is {printable(repr(text), 60)}: give a text, or a list of texts")
    return [str(text) for text in texts] or [""]


SIDES = re.compile(r"\b(left|right)(most|wards?|handed|hand)?\b", re.IGNORECASE)
"""Words that are wrong of a mirrored picture."""


def turnable(captions: Sequence[Sequence[str]], asked: Sequence[bool], where: str) -> np.ndarray:
    """Which of the pictures that are to be mirrored may be, (n,), bool: those of which no caption speaks of left or
    right. How many are not is said."""
    may = [not any(SIDES.search(caption) for caption in said) for said in captions]
    if count := sum(ask and not each for ask, each in zip(asked, may, strict=True)):
        say(f"{where}: {count} of {sum(asked)} pictures are not mirrored, for their captions speak of left or right")
    return np.array(asked, bool) & np.array(may, bool)


def hidden(parts: Sequence[str]) -> bool:
    """Whether a file of these parts of a path is no data: hidden (.name), or within a tool's folder (__name)."""
    return any(part.startswith(".") for part in parts) or any(part.startswith("__") for part in parts[:-1])


def stamp(path: Path) -> tuple[str, int, int]:
    """What tells whether a file has changed."""
    status = path.stat()
    return str(path), status.st_size, status.st_mtime_ns


def kept(
    home: Path,
    title: str,
    key: str,
    size: int | tuple[int, int],
    count: int,
    workers: int,
    work: Callable[[Span], np.ndarray],
) -> np.ndarray:
    """Pictures uint8 (count, height, width, 3) of that size, a square's side or (width, height): computed once by so
    many processes and kept in `home` under their key.

    work((start, stop)) answers the pictures of that span; it can be sent to another process.
    """
    width, height = (size, size) if isinstance(size, int) else size
    shape = {"pictures": ((height, width, 3), np.uint8)}
    return computed(home, title, key, shape, count, workers, partial(_named, work))["pictures"]


def computed(
    home: Path,
    title: str,
    key: str,
    shapes: array_cache.Shapes,
    count: int,
    workers: int,
    work: Callable[[Span], dict[str, np.ndarray]],
) -> dict[str, np.ndarray]:
    """Arrays of `count` rows, computed once by so many processes and kept: see `array_cache.arrays`."""
    return array_cache.arrays(home, title, key, shapes, partial(_in_processes, work, workers), count)


def _named(work: Callable[[Span], np.ndarray], span: Span) -> dict[str, np.ndarray]:
    return {"pictures": work(span)}


def _in_processes(
    work: Callable[[Span], dict[str, np.ndarray]], workers: int, spans: list[Span]
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """What `work` answers of each span, in order."""
    if workers == 1 or len(spans) < 2:
        yield from ((span[0], work(span)) for span in spans)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for (start, _), arrays in zip(spans, pool.map(work, spans), strict=True):
            yield start, arrays


def cut(path: Path | bytes, size: tuple[int, int]) -> np.ndarray:
    """The picture scaled until it covers `size`, (width, height), and its middle cut out."""
    return np.asarray(ImageOps.fit(open_picture(path), size, Image.Resampling.LANCZOS))


def square(path: Path | bytes, size: int) -> np.ndarray:
    """The picture's middle square, resized to `size`."""
    return cut(path, (size, size))
