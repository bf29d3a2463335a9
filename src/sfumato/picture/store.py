"""Where input pictures are kept, by what they are: a recipe names them, and redo finds them again.

A picture that came as a file is kept as that file, byte for byte; one that came as pixels as a PNG. Only the user may
read what is kept (files 0600, folders 0700). It stays until the user prunes it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any

from PIL import Image
from platformdirs import user_data_path
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from sfumato.picture.atomic import write_atomically
from sfumato.picture.door import open_mask, open_picture, reread
from sfumato.picture.errors import BadInput, note
from sfumato.picture.files import encode_png
from sfumato.picture.paths import modified, path_of

MASK = "-mask"
_memory: dict[str, tuple[str, bytes]] = {}  # what could not be written, for this run: name and bytes by hash
_told: set[Path] = set()


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class Ref:
    """A picture in the store: the SHA-256 of its pixels (64 hex digits) and its size. Masks are kept the same way."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="64 hexadecimal digits")]
    width: Annotated[int, Field(ge=1, description="a whole number of pixels, at least 1")]
    height: Annotated[int, Field(ge=1, description="a whole number of pixels, at least 1")]

    @property
    def size(self) -> tuple[int, int]:
        """(width, height), as PIL gives it."""
        return self.width, self.height


def pixels_hash(image: Image.Image) -> str:
    """`sha256:` and the SHA-256 of the size and the RGB bytes: the same in every format that keeps pixels.

    Hashed is `WIDTHxHEIGHT:RGB:` in ASCII, then the rows from the top, three bytes a pixel. A grey image counts as the
    RGB image with three equal channels.
    """
    digest = hashlib.sha256(f"{image.width}x{image.height}:RGB:".encode())
    digest.update(image.convert("RGB").tobytes())
    return f"sha256:{digest.hexdigest()}"


def home() -> Path:
    """The folder for the user's data: `$SFUMATO_HOME`, or the platform's own place for it."""
    chosen = os.environ.get("SFUMATO_HOME")
    return path_of(chosen) if chosen else user_data_path("sfumato", appauthor=False)


def pictures_folder() -> Path:
    """The folder of the store."""
    return home() / "pictures"


_heard: ContextVar[list[Path] | None] = ContextVar("heard", default=None)


@contextlib.contextmanager
def kept_files() -> Iterator[list[Path]]:
    """The files that pictures are kept from while inside: what a command has read, and may not write over."""
    token = _heard.set(found := [])
    try:
        yield found
    finally:
        _heard.reset(token)


def keep_from(source: Any, door: Callable[[Any], Image.Image] = open_picture) -> Ref:
    """Keep what `door` (`open_picture` or `open_mask`) reads from `source` and return its `Ref`.

    source: as `open_picture` takes it. Of a path or bytes the file's own bytes are kept, with all that stands in them,
    so that a result can be saved like it. Where nothing can be written, the picture is kept for this run alone, which a
    `PictureWarning` says.
    """
    image = door(source)
    if (heard := _heard.get()) is not None and isinstance(source, str | os.PathLike):
        heard.append(path_of(source))
    if isinstance(source, bytes | bytearray | memoryview):
        return keep(image, bytes(source), mask=door is open_mask)
    if isinstance(source, str | os.PathLike):
        return keep(image, path_of(source).read_bytes(), mask=door is open_mask)
    return keep(image)


def keep(image: Image.Image, original: bytes | None = None, *, mask: bool = False) -> Ref:
    """Keep `image` (RGB, or L for a mask) in the store and return its `Ref`; see `keep_from`.

    original: the file that `image` was read from, as a mask or not.
    """
    ref = Ref(pixels_hash(image).removeprefix("sha256:"), image.width, image.height)
    if original is not None:
        name = f"{ref.sha256}-{_digest(original)}{MASK if mask else ''}{_ending(original)}"
    else:
        name = f"{ref.sha256}.png"
    for path in _places(ref):
        if original in (None, data := _bytes(path)) and _read(path.name, data, ref) is not None:
            _used(path)
            return ref
    data = encode_png(image) if original is None else original
    try:
        write_atomically(_folder(ref) / name, data, private=True)
    except BadInput as error:
        _memory[ref.sha256] = name, data
        if home() not in _told:
            _told.add(home())
            note(f"input pictures can't be kept in SFUMATO_HOME, now {home()}, so that redo won't find them ({error})")
        return ref
    _used(_folder(ref) / name)
    if original is not None:
        with contextlib.suppress(OSError):
            (_folder(ref) / f"{ref.sha256}.png").unlink()
    return ref


def keep_for_now(image: Image.Image) -> Ref:
    """The `Ref` of a picture that is kept in memory alone: this process can fetch it, redo won't find it."""
    ref = Ref(pixels_hash(image).removeprefix("sha256:"), image.width, image.height)
    _memory[ref.sha256] = f"{ref.sha256}.png", encode_png(image)
    return ref


def fetch(ref: Ref) -> Image.Image:
    """The picture that `ref` names, in mode RGB; `BadInput` if it isn't kept here or was changed."""
    return _found(ref)[0].convert("RGB")


def original(ref: Ref) -> bytes:
    """The file that `ref` names, byte for byte as it came in; a PNG of the pixels where they did not come as a file.

    Raises `BadInput` as `fetch` does.
    """
    return _found(ref)[1]


def _found(ref: Ref) -> tuple[Image.Image, bytes]:
    """The newest of the files of `ref` that are whole: two that differ in their metadata may hold the same pixels."""
    for name, data in (*filter(None, [_memory.get(ref.sha256)]), *((path.name, _bytes(path)) for path in _places(ref))):
        image = _read(name, data, ref)
        if image is not None:
            return image, data
    raise BadInput(
        f"the input picture {ref.sha256[:12]} ({ref.width} x {ref.height}) is not in {home()}: "
        "open the recipe where it was made, or give the picture again: any edit of the same file keeps it"
    )


def _read(name: str, data: bytes, ref: Ref) -> Image.Image | None:
    """The picture in a kept file, if it is still the one. Its own bytes prove it too, where a library of another
    version reads other pixels from them, which is said."""
    try:
        image = reread(data, mask=MASK in name)
    except BadInput:
        return None
    if pixels_hash(image) == f"sha256:{ref.sha256}":
        return image
    if image.size == ref.size and name.startswith(f"{ref.sha256}-{_digest(data)}"):
        note(f"the input picture {ref.sha256[:12]} is read with other pixels than when it was kept, by another version")
        return image
    return None


def _folder(ref: Ref) -> Path:
    return pictures_folder() / ref.sha256[:2]


def _places(ref: Ref) -> list[Path]:
    """Where the picture is kept, the newest first."""
    return sorted(_folder(ref).glob(f"{ref.sha256}[-.]*"), key=modified, reverse=True)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _used(path: Path) -> None:
    """Notes that a file is used now, by which pruning goes, and closes it to others, as in old stores it was not."""
    for place, mode in ((path, 0o600), (path.parent, 0o700), (path.parent.parent, 0o700)):
        with contextlib.suppress(OSError):
            place.chmod(mode)
    with contextlib.suppress(OSError):
        os.utime(path)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _ending(data: bytes) -> str:
    """For people who look into the folder."""
    kinds = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"RIFF": ".webp", b"GIF8": ".gif", b"BM": ".bmp"}
    return next((ending for start, ending in kinds.items() if data.startswith(start)), ".tif")
