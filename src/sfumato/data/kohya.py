"""Pictures as kohya's scripts (sd-scripts) lay them out: folders `10_sks dog`, or a dataset in TOML.

A folder's name says how often its pictures come in an epoch, and what they show where no .txt lies beside them. Of a
TOML file the keys of [general], [[datasets]] and [[datasets.subsets]] that say which pictures there are, what they are
called and whether they are mirrored are obeyed (`OBEYED`). What the recipe says here is told by name (`RECIPES`); what
would make other pictures or captions (`OTHERWISE`) is refused by name unless it is turned off, and so is any other key.
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
from sfumato.data.dataset import Dataset, DataSource, divided, hidden, register, turnable
from sfumato.data.folder import SUFFIXES, text_of
from sfumato.data.picture_files import PictureFiles, readable
from sfumato.picture import BadInput
from sfumato.picture.errors import printable
from sfumato.progress import say

NAMED = re.compile(r"(\d{1,4})_(.*\S)\s*")
EXTENSIONS = (".txt", ".caption")
OBEYED = {"image_dir": str, "num_repeats": int, "class_tokens": str, "caption_extension": str, "is_reg": bool,
          "keep_tokens": int, "shuffle_caption": bool, "caption_separator": str, "caption_prefix": str,
          "caption_suffix": str, "flip_aug": bool}  # fmt: skip
"""Keys that are obeyed, and what their values are; without a `caption_extension` any of `EXTENSIONS` is looked for."""
BUCKETS = ("enable_bucket", "min_bucket_reso", "max_bucket_reso", "bucket_reso_steps", "bucket_no_upscale")
RECIPES = dict.fromkeys(BUCKETS, "buckets") | {
    "resolution": "size", "batch_size": "batch", "caption_dropout_rate": "dropout", "prior_loss_weight": "prior.weight",
}  # fmt: skip
"""Keys that say how to train: what says it here."""
OTHERWISE = {"color_aug": False, "random_crop": False, "face_crop_aug_range": None, "enable_wildcard": False,
             "keep_tokens_separator": "", "secondary_separator": "", "caption_dropout_every_n_epochs": 0,
             "caption_tag_dropout_rate": 0, "token_warmup_step": 0, "network_multiplier": 1,
             "alpha_mask": False}  # fmt: skip
"""Keys that would change pictures, captions or losses, and the values with which they don't."""
NOTHING = ("token_warmup_min", "cache_info")
"""Keys that change nothing by themselves."""


@dataclass(frozen=True)
class KohyaFolder:
    """One folder: its pictures, how often each comes, and what they show without a caption of their own."""

    path: Path
    repeats: int = 1
    words: str = ""
    extension: str = ""
    prefix: str = ""
    suffix: str = ""
    shuffled: bool = False
    first: int = 0
    separator: str = ","
    mirrored: bool = False

    def captions(self, picture: Path) -> list[str]:
        """The lines of the text beside it, else the folder's words; with tags in other orders where those are asked."""
        beside = [picture.with_suffix(each) for each in ((self.extension,) if self.extension else EXTENSIONS)]
        file = next((each for each in beside if each.is_file()), None)
        lines = [self.words] if file is None else text_of(file).splitlines()
        said = [" ".join(each for each in (self.prefix, line.strip(), self.suffix) if each) for line in lines if line]
        return [order for line in said or [""] for order in (self._orders(line) if self.shuffled else [line])]

    def _orders(self, line: str, count: int = 8) -> Iterator[str]:
        """The tags in `count` orders, the `first` of them in their places."""
        tags = [tag.strip() for tag in line.split(self.separator)]
        dice = random.Random(line)
        for _ in range(count if len(tags) > self.first + 1 else 1):
            yield f"{self.separator} ".join(
                [*tags[: self.first], *dice.sample(tags[self.first :], len(tags) - self.first)]
            )


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
        often, turned = self._often(folders[: len(train)], captions[: len(train)])
        return _repeated(train, often, turned), test

    def buckets(self, step: int, home: Path, workers: int) -> tuple[Dataset, ...]:
        """See `DataSource`."""
        folders, files, words = self._readable(home, workers)
        captions = [folder.captions(file) for folder, file in zip(folders, files.paths, strict=True)]
        often, turned = self._often(folders, captions)
        found = bucketed(files, captions, words, self.size, step, home, workers)
        return tuple(_repeated(part, often[rows], turned[rows]) for rows, part in found)

    def _often(self, folders: list[KohyaFolder], captions: list[list[str]]) -> tuple[np.ndarray, np.ndarray]:
        """How often each picture comes, and whether mirrored too: each has the share of its folder's repeats."""
        repeats = np.array([folder.repeats for folder in folders])
        turned = turnable(captions, [folder.mirrored for folder in folders], str(self.path))
        return np.where(turned | ~turned.any(), repeats, 2 * repeats), turned

    def _readable(self, home: Path, workers: int) -> tuple[list[KohyaFolder], PictureFiles, str]:
        """The pictures that can be read, the folder of each, and where words were looked for."""
        folders = _of_toml(self.path) if self.path.suffix.lower() == ".toml" else _named(self.path)
        found = [(folder, file) for folder in folders for file in _pictures(folder.path)]
        if not found:
            raise BadInput(f"{self.path} holds no pictures in folders that are named as '10_sks dog'")
        files = readable([file for _, file in found], home, workers, self.path)
        words = f"{self.path}: a .txt beside each picture, or the folders' names"
        return [found[i][0] for i in files.rows], files, words


def _repeated(part: Dataset, often: np.ndarray, turned: np.ndarray) -> Dataset:
    """Every picture so often, and behind them those that are mirrored too."""
    rows = np.repeat(np.arange(len(part)), often)
    found = part.part(rows, f"repeated-{digest(often.tolist())}")
    return found.beside_mirrored(np.repeat(turned, often)) if turned.any() else found


def is_kohya(path: Path) -> bool:
    """Whether a path is a dataset in TOML, or a folder of folders that are named as kohya's are."""
    return path.suffix.lower() == ".toml" or (path.is_dir() and bool(_named(path)))


def _named(path: Path) -> list[KohyaFolder]:
    if not path.is_dir():
        raise BadInput(f"data.path: there is no folder {path}")
    inside = [(each, NAMED.fullmatch(each.name)) for each in sorted(path.iterdir()) if each.is_dir()]
    return [
        KohyaFolder(each, int(name[1]), name[2]) for each, name in inside if name and _comes(int(name[1]), each, path)
    ]


def _comes(repeats: int, folder: Path, origin: Path) -> bool:
    """Whether a folder's pictures come at all; those that come 0 times are left out, which is said."""
    if repeats < 1:
        say(f"{origin}: the pictures of {printable(folder.name, 60)} come {repeats} times: they are left out")
    return repeats >= 1


def _of_toml(path: Path) -> list[KohyaFolder]:
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(
            f"{path} can't be read as TOML ({printable(error, 100)}): give a dataset of sd-scripts"
        ) from None
    if strange := sorted(told.keys() - {"general", "datasets"}):
        raise BadInput(f"{path} says {printable(strange[0], 60)}, which is not read here: leave it out")
    general, folders = _tables(told.get("general", {}), "[general]", path), []
    _check(general, path)
    everywhere = dict(general)
    for dataset in _tables(told.get("datasets", []), "[[datasets]]", path):
        own = {key: value for key, value in dataset.items() if key != "subsets"}
        _check(own, path)
        everywhere |= own
        for subset in _tables(dataset.get("subsets", []), "[[datasets.subsets]]", path):
            everywhere |= subset
            folders += _subset({**general, **own, **subset}, path)
    _tell(everywhere, path)
    return folders


def _tables(found: Any, name: str, path: Path) -> Any:
    """What stands under a heading. Raises BadInput where it is no table, or no list of tables as [[...]] makes."""
    many = name.startswith("[[")
    if not isinstance(found, list if many else dict) or (many and not all(isinstance(each, dict) for each in found)):
        raise BadInput(f"{path} has no {name} of keys: write {name}, and the keys below it")
    return found


def _subset(said: Mapping[str, Any], path: Path) -> list[KohyaFolder]:
    _check(said, path)
    if "image_dir" not in said:
        raise BadInput(f"{path} has a subset without image_dir: say where its pictures are")
    if said.get("is_reg"):
        say(f"{path}: the pictures that keep a class are left out; the recipe's prior paints its own")
        return []
    folder = path.parent / said["image_dir"]
    if not folder.is_dir():
        raise BadInput(f"{path} names the folder {printable(said['image_dir'], 80)}, which isn't there")
    if not _comes(repeats := said.get("num_repeats", 1), folder, path):
        return []
    return [
        KohyaFolder(
            folder,
            repeats,
            said.get("class_tokens", ""),
            said.get("caption_extension", ""),
            said.get("caption_prefix", ""),
            said.get("caption_suffix", ""),
            said.get("shuffle_caption", False),
            said.get("keep_tokens", 0),
            said.get("caption_separator", "") or ",",
            said.get("flip_aug", False),
        )
    ]


def _check(said: Mapping[str, Any], path: Path) -> None:
    """Raises BadInput for a key that can't be obeyed, or whose value is of another kind."""
    for key, value in said.items():
        if key in OBEYED:
            if type(value) is not OBEYED[key]:
                kinds = {str: "a text in quotes", int: "a whole number", bool: "true or false"}
                raise BadInput(f"{path} says {key} = {printable(repr(value), 40)}: it is {kinds[OBEYED[key]]}")
            if key == "keep_tokens" and value < 0:
                raise BadInput(f"{path} says keep_tokens = {value}: it is a number from 0")
            if key == "caption_extension" and value and not re.fullmatch(r"(\.\w+)+", value):
                raise BadInput(f"{path} says {key} = {printable(repr(value), 40)}: it begins with a dot, as .txt")
        elif key in OTHERWISE:
            if value != OTHERWISE[key]:
                raise BadInput(f"{path} says {key}, which is not done here: leave it out")
        elif key not in (*RECIPES, *NOTHING):
            raise BadInput(f"{path} says {printable(key, 60)}, which is not read here: leave it out")


def _tell(said: Mapping[str, Any], path: Path) -> None:
    """Names what the recipe says here."""
    named = {key: how for key, how in RECIPES.items() if key in said}
    if named:
        each = ", ".join(f"{key} ({how})" for key, how in named.items())
        say(f"{path}: the recipe says here, and not this file, {each}")


def _pictures(folder: Path) -> list[Path]:
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and not hidden((path.name,))]
    return [path for path in files if path.suffix.lower() in SUFFIXES]
