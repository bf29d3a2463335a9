"""Pictures and classes from a .npz file, or scikit-learn's digits where it is absent and the recipe says so."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from PIL import Image
from pydantic import Field

from sfumato.data.array_cache import digest
from sfumato.data.dataset import Dataset, DataSource, divided, register, stamp
from sfumato.element.section import Count, Positive
from sfumato.picture import BadInput
from sfumato.progress import say

Pairs = tuple[np.ndarray, np.ndarray]
CLASSES = 1_000_000  # more are a mistake
SHUFFLE = 1_887_065_545_650_066_536  # a seed


@register
class Arrays(DataSource):
    """Pictures of a .npz file: uint8 (n, H, W) or (n, H, W, C) under the name `x`, classes (n,) under `y`.

    `rows` takes [first, stop) of them in a fixed shuffled order; `test_x` and `test_y` name the arrays to measure on
    (otherwise a tenth is held back); `classes` names the classes. With `absent: digits` scikit-learn's digits stand in
    for a file that isn't there.
    """

    kind: Literal["arrays"]
    path: Path
    size: Annotated[int, Field(ge=8, le=1024)] = 28
    x: str = "x"
    y: str = "y"
    test_x: str | None = None
    test_y: str | None = None
    rows: tuple[Count, Positive] | None = None
    classes: tuple[str, ...] = ()
    absent: Literal["digits"] | None = None

    def open(self, held_back: int, home: Path, workers: int, grey: bool = False) -> tuple[Dataset, Dataset]:
        """See `DataSource`."""
        train, test, classes = load(self)
        changed = stamp(self.path)[1:] if self.path.is_file() else "digits"
        key = digest(self.model_dump(mode="json"), changed, "shuffled")

        def source(pair: Pairs, name: str) -> Dataset:
            x, y = pair
            pictures = x if grey or x.shape[3] == 3 else x.repeat(3, 3)
            return Dataset(pictures, [[classes[i]] for i in y], key + name, y, classes)

        if test is None:
            return divided(source(train, ""), held_back, self.path)
        return source(train, ""), source(test, "-test").part(slice(held_back), "")


def load(data: Arrays) -> tuple[Pairs, Pairs | None, tuple[str, ...]]:
    """(pictures, classes) to train on, the same to measure on if the recipe names them, and the classes' names.

    Pictures are uint8 (n, size, size, C), classes int64 (n,), in a fixed shuffled order: files are often sorted by
    class. Raises BadInput for what the file doesn't have.
    """
    if not data.path.is_file() and data.absent == "digits":
        train, names = _digits(data)
        return (_fitted(train[0], data.size), train[1]), None, names
    if (data.test_x is None) != (data.test_y is None):
        raise BadInput("data: test_x and test_y name pictures and their classes: give both, or neither")
    train = _pair(data.path, data.x, data.y)
    test = _pair(data.path, data.test_x, data.test_y) if data.test_x and data.test_y else None
    if data.rows is not None:
        first, stop = data.rows
        if not first < stop <= len(train[0]):
            raise BadInput(f"data.rows: [{first}, {stop}) does not fit the {len(train[0])} pictures of {data.path}")
        train = train[0][first:stop], train[1][first:stop]
    top = int(max(pair[1].max() for pair in (train, test) if pair is not None))
    names = data.classes or tuple(str(i) for i in range(top + 1))
    if top >= len(names):
        raise BadInput(f"data.classes names {len(names)} classes, but {data.path} has the class {top}")
    sized = [(_fitted(x, data.size), y) for x, y in (train, test or train)]
    return sized[0], sized[1] if test else None, names


def _pair(path: Path, x: str, y: str) -> Pairs:
    pictures, classes = _read(path, x), _read(path, y)
    fits = pictures.ndim == 3 or (pictures.ndim == 4 and pictures.shape[3] in (1, 3))
    if pictures.dtype != np.uint8 or not fits or not pictures.size:
        raise BadInput(
            f"{path}: '{x}' is {pictures.dtype} {pictures.shape}; accepted are uint8 (n, H, W), (n, H, W, 1) "
            "and (n, H, W, 3)"
        )
    if not (np.issubdtype(classes.dtype, np.integer) and classes.shape == pictures.shape[:1]):
        raise BadInput(f"{path}: '{y}' is {classes.dtype} {classes.shape}; it must be a whole number for each picture")
    for end in (classes.min(), classes.max()):
        if not 0 <= end < CLASSES:
            raise BadInput(f"{path}: '{y}' has the class {end}; classes are whole numbers from 0 to {CLASSES - 1:,}")
    order = np.random.default_rng(SHUFFLE).permutation(len(classes))
    return (pictures if pictures.ndim == 4 else pictures[..., None])[order], classes.astype(np.int64)[order]


def _read(path: Path, name: str) -> np.ndarray:
    try:
        file: Any = np.load(path, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise ValueError("it is one array without a name")
        with file:
            if name not in file.files:
                raise BadInput(f"{path} has no array '{name}': it holds {', '.join(file.files)}")
            found = file[name]
        if not isinstance(found, np.ndarray):
            raise ValueError(f"{name} is no array")
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        reason = str(error).split(". ")[0] or "damaged"
        raise BadInput(f"{path} can't be read as .npz ({reason}): name a file of arrays") from error
    return found


def _fitted(pictures: np.ndarray, size: int) -> np.ndarray:
    """Resized to size x size where they aren't."""
    if pictures.shape[1:3] == (size, size):
        return pictures
    rows = [Image.fromarray(p[..., 0] if p.shape[2] == 1 else p) for p in pictures]
    sized = np.stack([np.asarray(row.resize((size, size), Image.Resampling.LANCZOS)) for row in rows])
    return sized.reshape(len(pictures), size, size, pictures.shape[3])


def _digits(data: Arrays) -> tuple[Pairs, tuple[str, ...]]:
    try:
        from sklearn.datasets import load_digits  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise BadInput(
            f"data.path: there is no file {data.path}, and scikit-learn, whose digits would stand in for it, isn't "
            "installed: name the file with --set data.path=..., or pip install scikit-learn"
        ) from None
    say(f"there is no file {data.path}: scikit-learn's 1,797 digits of 8 x 8 stand in for it")
    pixels, classes = load_digits(return_X_y=True)
    pictures = np.round(pixels.reshape(-1, 8, 8, 1) * (255 / 16)).astype(np.uint8)
    order = np.random.default_rng(SHUFFLE).permutation(len(classes))
    return (pictures[order], classes.astype(np.int64)[order]), tuple(map(str, range(10)))
