"""Captions for pictures that have none: a .txt beside each, in which the subject is called by its own word."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sfumato.data.dataset import hidden
from sfumato.data.folder import SUFFIXES, TABLES
from sfumato.picture import BadInput, open_picture
from sfumato.picture.files import write_atomically
from sfumato.progress import say

if TYPE_CHECKING:
    from PIL import Image

EACH = 8  # pictures that are looked at together


def with_subject(caption: str, subject: str, kind: str = "") -> str:
    """A caption that names the subject: in the place of its class where that is said, else before everything.

    >>> with_subject("a woman with a hat", "sks woman", "woman")
    'a sks woman with a hat'
    """
    if not subject or re.search(rf"(?<!\w){re.escape(subject)}(?!\w)", caption, re.IGNORECASE):
        return caption
    if kind:
        named, count = re.subn(rf"(?<!\w){re.escape(kind)}(?!\w)", lambda _: subject, caption, count=1, flags=re.I)
        if count:
            return named
    return f"{subject}, {caption}" if caption else subject


def uncaptioned(folder: Path, replace: bool = False) -> list[Path]:
    """The pictures in and below a folder that have no .txt beside them; with `replace` those too that have one.

    Raises BadInput where there are no pictures, or where captions stand in a table of metadata: a .txt would not be
    read there.
    """
    if not folder.is_dir():
        raise BadInput(f"there is no folder {folder}: give one of pictures")
    files = [path for path in sorted(folder.rglob("*")) if not hidden(path.relative_to(folder).parts)]
    if tables := [path for path in files if path.name in TABLES]:
        raise BadInput(f"the captions of {folder} stand in {tables[0]}, and no .txt is read beside that: take it away")
    pictures = [path for path in files if path.suffix.lower() in SUFFIXES]
    if not pictures:
        raise BadInput(f"{folder} holds no pictures ({', '.join(sorted(SUFFIXES))})")
    found = [path for path in pictures if replace or not path.with_suffix(".txt").exists()]
    if len(found) < len(pictures):
        left = len(pictures) - len(found)
        say(f"{left} of {len(pictures)} pictures have a caption, which stays as it is: --replace writes new ones")
    return found


def write_captions(
    paths: Sequence[Path], describe: Callable[[Sequence[Image.Image]], list[str]], subject: str = "", kind: str = ""
) -> Iterator[tuple[Path, str]]:
    """Writes the .txt of each picture as soon as it is described, and answers both. Pictures that can't be read are
    said and left out."""
    for start in range(0, len(paths), EACH):
        opened: list[tuple[Path, Image.Image]] = []
        for path in paths[start : start + EACH]:
            try:
                opened.append((path, open_picture(path)))
            except BadInput as error:
                say(f"left out: {error}")
        said = describe([picture for _, picture in opened]) if opened else []
        for (path, _), caption in zip(opened, said, strict=True):
            named = with_subject(" ".join(caption.split()), subject, kind)
            write_atomically(path.with_suffix(".txt"), f"{named}\n".encode())
            yield path, named
