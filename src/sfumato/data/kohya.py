"""Pictures as kohya's scripts (sd-scripts) lay them out: folders `10_sks dog`, or a dataset in TOML.

A folder's name says how often its pictures come in an epoch, and what they show where no .txt lies beside them. Of a
TOML file the keys of [general], [[datasets]] and [[datasets.subsets]] that say which pictures there are and what they
are called are read; those that say how to train belong to a recipe, and any other is refused by name.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from sfumato.data.array_cache import digest
from sfumato.data.buckets import bucketed
from sfumato.data.dataset import Dataset, DataSource, divided, hidden, register
from sfumato.data.folder import SUFFIXES
from sfumato.data.picture_files import PictureFiles, readable
from sfumato.picture import BadInput
from sfumato.picture.errors import printable
from sfumato.progress import say

NAMED = re.compile(r"(\d{1,4})_(.*\S)\s*")
READ = {"image_dir", "num_repeats", "class_tokens", "caption_extension", "is_reg", "keep_tokens", "shuffle_caption",
        "caption_prefix", "caption_suffix", "flip_aug", "subsets"}  # fmt: skip
TRAINED = {"resolution", "batch_size", "enable_bucket", "min_bucket_reso", "max_bucket_reso", "bucket_reso_steps",
           "bucket_no_upscale", "color_aug", "random_crop", "caption_dropout_rate", "datasets", "general"}  # fmt: skip
"""Keys that say how pictures are trained on: the recipe says that here."""


@dataclass(frozen=True)
class KohyaFolder:
    """One folder: its pictures, how often each comes, and what they show without a caption of their own."""

    path: Path
    repeats: int = 1
    words: str = ""
    extension: str = ".txt"
    prefix: str = ""
    suffix: str = ""
    shuffled: bool = False
    first: int = 0

    def captions(self, picture: Path) -> list[str]:
        """The lines of the text beside it, else the folder's words; with tags in other orders where those are asked."""
        beside = picture.with_suffix(self.extension)
        lines = beside.read_text(encoding="utf-8-sig").splitlines() if beside.is_file() else [self.words]
        said = [" ".join(each for each in (self.prefix, line.strip(), self.suffix) if each) for line in lines if line]
        return [order for line in said or [""] for order in (self._orders(line) if self.shuffled else [line])]

    def _orders(self, line: str, count: int = 8) -> Iterator[str]:
        """The tags in `count` orders, the `first` of them in their places."""
        tags = [tag.strip() for tag in line.split(",")]
        dice = random.Random(line)
        for _ in range(count if len(tags) > self.first + 1 else 1):
            yield ", ".join([*tags[: self.first], *dice.sample(tags[self.first :], len(tags) - self.first)])


@register
class Kohya(DataSource):
    """path: a folder of folders named as `10_sks dog`, or a dataset's TOML file. Pictures of folders that keep the
    class (`is_reg`) are left out: a recipe's `prior` does that here."""

    kind: Literal["kohya"]
    path: Path
    size: Annotated[int, Field(ge=16, le=1024)] = 64

    def open(self, held_back: int, home: Path, workers: int, grey: bool = False) -> tuple[Dataset, Dataset]:
        """See `DataSource`."""
        folders, files, words = self._readable(home, workers)
        pictures, key = files.pictures((self.size, self.size), home, workers)
        captions = [folder.captions(file) for folder, file in zip(folders, files.paths, strict=True)]
        names = tuple(path.stem for path in files.paths)
        train, test = divided(Dataset(pictures, captions, key, words=words, names=names), held_back, self.path)
        times = [folder.repeats for folder in folders[: len(train)]]
        rows = np.repeat(np.arange(len(train)), times)
        return train.part(rows, f"repeated-{digest(times)}"), test

    def buckets(self, step: int, home: Path, workers: int) -> tuple[Dataset, ...]:
        """See `DataSource`."""
        folders, files, words = self._readable(home, workers)
        captions = [folder.captions(file) for folder, file in zip(folders, files.paths, strict=True)]
        times = [folder.repeats for folder in folders]
        return bucketed(files, captions, words, self.size, step, home, workers, times)

    def _readable(self, home: Path, workers: int) -> tuple[list[KohyaFolder], PictureFiles, str]:
        """The pictures that can be read, the folder of each, and where words were looked for."""
        folders = _of_toml(self.path) if self.path.suffix.lower() == ".toml" else _named(self.path)
        found = [(folder, file) for folder in folders for file in _pictures(folder.path)]
        if not found:
            raise BadInput(f"{self.path} holds no pictures in folders that are named as '10_sks dog'")
        files = readable([file for _, file in found], home, workers, self.path)
        words = f"{self.path}: a .txt beside each picture, or the folders' names"
        return [found[i][0] for i in files.rows], files, words


def is_kohya(path: Path) -> bool:
    """Whether a path is a dataset in TOML, or a folder of folders that are named as kohya's are."""
    return path.suffix.lower() == ".toml" or (path.is_dir() and bool(_named(path)))


def _named(path: Path) -> list[KohyaFolder]:
    if not path.is_dir():
        raise BadInput(f"data.path: there is no folder {path}")
    inside = [(each, NAMED.fullmatch(each.name)) for each in sorted(path.iterdir()) if each.is_dir()]
    return [KohyaFolder(each, max(int(name[1]), 1), name[2]) for each, name in inside if name]


def _of_toml(path: Path) -> list[KohyaFolder]:
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(
            f"{path} can't be read as TOML ({printable(error, 100)}): give a dataset of sd-scripts"
        ) from None
    general = told.get("general", {})
    folders: list[KohyaFolder] = []
    for dataset in told.get("datasets", ()):
        for subset in dataset.get("subsets", ()):
            said = {**general, **{k: v for k, v in dataset.items() if k != "subsets"}, **subset}
            folders += _subset(said, path)
    return folders


def _subset(said: Mapping[str, Any], path: Path) -> list[KohyaFolder]:
    if strange := sorted(set(said) - READ - TRAINED):
        raise BadInput(f"{path} says {printable(strange[0], 60)}, which is not read here: leave it out")
    if "image_dir" not in said:
        raise BadInput(f"{path} has a subset without image_dir: say where its pictures are")
    if said.get("is_reg"):
        say(f"{path}: the pictures that keep a class are left out; the recipe's prior paints its own")
        return []
    folder = path.parent / str(said["image_dir"])
    if not folder.is_dir():
        raise BadInput(f"{path} names the folder {printable(said['image_dir'], 80)}, which isn't there")
    return [
        KohyaFolder(
            folder,
            max(int(said.get("num_repeats", 1)), 1),
            str(said.get("class_tokens", "")),
            str(said.get("caption_extension", ".txt")),
            str(said.get("caption_prefix", "")),
            str(said.get("caption_suffix", "")),
            bool(said.get("shuffle_caption", False)),
            int(said.get("keep_tokens", 0)),
        )
    ]


def _pictures(folder: Path) -> list[Path]:
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and not hidden((path.name,))]
    return [path for path in files if path.suffix.lower() in SUFFIXES]
