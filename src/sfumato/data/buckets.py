"""Pictures in buckets of like shape, so that little of each is cut off (NovelAI 2022, "aspect ratio bucketing").

A bucket is a (width, height), both multiples of a step, with an area near size^2; a picture goes where the ratio of its
sides is nearest, in logarithms, is scaled until it covers that, and its middle is cut out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from sfumato.data.array_cache import digest
from sfumato.data.dataset import Dataset
from sfumato.data.picture_files import PictureFiles

Size = tuple[int, int]
WIDEST = 2.0


def sizes(size: int, step: int) -> list[Size]:
    """(width, height) of all buckets, the narrowest first: width w in multiples of `step`, height the multiple nearest
    to size^2 / w, sides of a ratio up to 2 to 1. The square is always among them."""

    def other(side: int) -> int:
        return max(step, round(size * size / side / step) * step)

    sides = range(step, 2 * size + step, step)
    found = {(w, other(w)) for w in sides} | {(other(h), h) for h in sides}
    return sorted(each for each in {*found, (size, size)} if max(each) <= WIDEST * min(each))


def nearest(shape: Size | np.ndarray, among: Sequence[Size]) -> int:
    """Which of the sizes is nearest to a shape in ratio; of several the largest."""
    ratio = math.log(shape[0] / shape[1])
    away = [(round(abs(math.log(w / h) - ratio), 9), -w * h, i) for i, (w, h) in enumerate(among)]
    return min(away)[2]


def cut_off(shape: Size | np.ndarray, size: Size) -> float:
    """The share of a picture that is lost where it is cut to `size`: 1 - (its ratio, the bucket's), the smaller through
    the larger."""
    a, b = shape[0] / shape[1], size[0] / size[1]
    return 1 - min(a, b) / max(a, b)


@dataclass(frozen=True)
class Buckets:
    """Data sets of one shape each, their rows numbered through."""

    parts: tuple[Dataset, ...]

    def __len__(self) -> int:
        return sum(self.counts)

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """How many rows each part has."""
        return tuple(map(len, self.parts))

    @property
    def key(self) -> str:
        """A hash of what they were made from."""
        keys = [part.key for part in self.parts]
        return keys[0] if len(keys) == 1 else digest(keys)

    @cached_property
    def captions(self) -> list[list[str]]:
        """Of all rows."""
        return [said for part in self.parts for said in part.captions]

    def place(self, rows: np.ndarray) -> tuple[int, np.ndarray]:
        """The part that rows of one bucket are in, and their places there."""
        starts = np.cumsum((0, *self.counts))
        part = int(np.searchsorted(starts, rows[0], "right")) - 1
        return part, np.asarray(rows) - starts[part]


def bucketed(
    files: PictureFiles, captions: list[list[str]], words: str, size: int, step: int, home: Path, workers: int
) -> list[tuple[np.ndarray, Dataset]]:
    """The data set of each bucket that is not empty, and which of the files are in it. captions: those of each file."""
    among = sizes(size, step)
    chosen = np.array([nearest(shape, among) for shape in files.sizes])
    found = []
    for bucket in np.unique(chosen).tolist():
        rows = np.flatnonzero(chosen == bucket)
        pictures, key = files.part(rows).pictures(among[bucket], home, workers)
        said = [captions[i] for i in rows.tolist()]
        names = tuple(files.paths[i].stem for i in rows.tolist())
        lost = tuple(cut_off(files.sizes[i], among[bucket]) for i in rows)
        found.append((rows, Dataset(pictures, said, key, words=words, names=names, lost=lost)))
    return found
