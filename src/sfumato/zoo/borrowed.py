"""Built-in models that borrow parts of others, so that the same weights are shipped once.

The folder of such a model lacks these parts, and its `borrowed.json` says whose they are: {"vae": "mini"}.
"""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from sfumato.picture.errors import name_of
from sfumato.zoo import place

BORROWED = "borrowed.json"


@cache
def whole(folder: Path) -> Path:
    """The folder with all parts of a built-in model: `folder` itself, or, where it borrows some, a folder of links to
    its own and the borrowed ones. That one is there as long as the process is, and stock diffusers loads it."""
    file = folder / BORROWED
    if not file.is_file():
        return folder
    parts = {path.name: path for path in folder.iterdir() if path.name != BORROWED}
    parts |= {part: place(lender) / part for part, lender in json.loads(file.read_text()).items()}
    return linked(parts, folder.name, folder.name)


def linked(parts: Mapping[str, Path], name: str, called: str) -> Path:
    """A new folder `name` of links to files and folders, by the names that they have in it. called: how sentences call
    it, which nobody made."""
    folder = Path(tempfile.mkdtemp(dir=room())) / name
    folder.mkdir()
    for part, path in parts.items():
        _link(folder / part, path.resolve())
    _called[folder] = called
    return folder


_called: dict[Path, str] = {}


def called(folder: Path) -> str:
    """How sentences call the folder of a model: by its path, or, where it was laid here, by what it stands for."""
    return _called.get(folder) or name_of(folder)


@cache
def room() -> str:
    """A folder for files that are there as long as the process is."""
    folder = tempfile.mkdtemp(prefix="sfumato-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _link(path: Path, to: Path) -> None:
    try:
        path.symlink_to(to)
    except OSError:  # Windows lets few users make links
        (shutil.copytree if to.is_dir() else shutil.copyfile)(to, path)
