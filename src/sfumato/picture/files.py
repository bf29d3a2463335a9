"""The one door through which pictures leave: whole, or not at all."""

from __future__ import annotations

import io
import os
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sfumato.picture.atomic import write_atomically
from sfumato.picture.door import MAX_PIXELS, open_picture, reread
from sfumato.picture.errors import BadInput, name_of, note
from sfumato.picture.jpeg import encoded_like
from sfumato.picture.metadata import metadata
from sfumato.picture.original import Original, unchanged
from sfumato.picture.paths import check_writable

_LONGEST = {".jpg": 65_500, ".jpeg": 65_500, ".webp": 16_383}
_FILLED_IN = 4096  # characters of a recipe, at most, that are known only when the picture is made


def save_picture(
    image: Any,
    path: str | os.PathLike[str],
    *,
    recipe_json: str | None = None,
    parameters: str | None = None,
    like: Any = None,
) -> Path:
    """Write `image` (PIL, or an array as `open_picture` takes it) to `path`, with its metadata; returns the path.

    The extension chooses the format: .png and .webp keep every pixel (WebP is written lossless), .jpg and .jpeg are
    written at quality 95 without chroma subsampling. Missing folders are made. The file appears whole or not at all:
    a temporary file in the same folder, fsync, rename; a file that stood there is replaced only then.

    like: the file that the picture was made of, a path or bytes (`sfumato.picture.original(ref)`). Its EXIF (author,
    copyright, camera, place; not its orientation, which is applied, nor its thumbnail), its density and its profile are
    taken over; of a profile that is not sRGB in a JPEG alone, for the others hold the pixels as they were made. A JPEG
    made of a JPEG also has its quantisation tables and its subsampling, and pixels that were not edited keep their
    coefficients, except in blocks that hold edited ones and, of fine tables, in rounding; how far they differ is said
    by a `PictureWarning`.

    Raises `BadInput` for another extension, a folder or device in the way, a full disk, or metadata too long for JPEG.
    """
    path = check_writable(path)
    picture = open_picture(image)
    suffix = path.suffix.lower()
    check_size(path, picture.size)
    original = None if like is None else Original.read(like)
    data = _encoded(path, suffix, picture, original, recipe_json, parameters)
    if suffix in (".jpg", ".jpeg") and original is not None:
        _tell_difference(path, data, picture, original)
    write_atomically(path, data)
    return path


def check_metadata(
    path: str | os.PathLike[str], recipe_json: str | None = None, parameters: str | None = None, like: Any = None
) -> None:
    """Raises `BadInput` if a picture at `path` can't hold such metadata; see `save_picture`. For use before long work.

    The recipe may be one that is still to be completed: room is left for what the run fills in.
    """
    path = check_writable(path)
    longer = None if recipe_json is None else recipe_json + " " * _FILLED_IN
    original = None if like is None else Original.read(like)
    _encoded(path, path.suffix.lower(), Image.new("RGB", (8, 8)), original, longer, parameters)


def check_size(path: str | os.PathLike[str], size: tuple[int, int]) -> None:
    """Raises `BadInput` if a picture at `path` can't have that size, (width, height) in pixels; before long work."""
    path = check_writable(path)
    if (longest := _too_long(path, size)) is not None:
        raise BadInput(f"{name_of(path)}: {path.suffix.lower()} holds at most {longest} pixels a side: save as .png")
    if size[0] * size[1] > MAX_PIXELS:
        raise BadInput(
            f"{name_of(path)} would be {size[0]} x {size[1]}, {size[0] * size[1] / 1e6:.1f} megapixels: at most "
            f"{MAX_PIXELS / 1e6:g} are written"
        )


def _too_long(path: Path, size: tuple[int, int]) -> int | None:
    """How many pixels a side a file of that kind holds, where `size` is more."""
    longest = _LONGEST.get(path.suffix.lower())
    return longest if longest and max(size) > longest else None


def roomy(path: str | os.PathLike[str], size: tuple[int, int]) -> Path:
    """The path, or where its kind of file can't hold a picture of that size a new .png beside it, which is told: what
    was painted is not lost."""
    path = Path(path)
    if (longest := _too_long(path, size)) is None:
        return path
    names = (path.with_name(f"{path.stem}{end}.png") for end in chain([""], (f"-{n}" for n in count(1))))
    other = next(name for name in names if not name.exists())
    note(f"{path.suffix} holds at most {longest} pixels a side: {size[0]} x {size[1]} is saved as {name_of(other)}")
    return other


def _encoded(
    path: Path,
    suffix: str,
    picture: Image.Image,
    original: Original | None,
    recipe_json: str | None,
    parameters: str | None,
) -> bytes:
    buffer = io.BytesIO()
    jpeg = suffix in (".jpg", ".jpeg")
    options = metadata("JPEG" if jpeg else suffix[1:].upper(), picture.size, original, recipe_json, parameters)
    try:
        if suffix == ".png":
            picture.save(buffer, "PNG", **options)
        elif suffix == ".webp":
            picture.save(buffer, "WEBP", lossless=True, exact=True, **options)
        elif original is not None and original.format in ("JPEG", "MPO"):
            return encoded_like(picture, original, options)
        else:
            picture.save(buffer, "JPEG", quality=95, subsampling=0, **options)
    except ValueError as error:  # Pillow: "EXIF data is too long", "XMP data is too long"
        raise BadInput(
            f"{name_of(path)} can't hold so long a prompt or recipe in its metadata: save as .png"
        ) from error
    return buffer.getvalue()


def _tell_difference(path: Path, data: bytes, picture: Image.Image, original: Original) -> None:
    """How far the pixels in a JPEG that have not been edited are from the original's, if there are any and they are."""
    same = unchanged(picture, original.image)
    if same is None:
        return
    off = np.abs(np.asarray(reread(data), np.int16) - np.asarray(picture, np.int16)).max(-1)[same]
    if off.any():
        note(
            f"{name_of(path)} is a JPEG: of the pixels that were not edited, {(off > 0).mean():.2%} differ from the "
            f"original, by at most {off.max()} of 255; .png or .webp keep them all"
        )


def encode_png(image: Image.Image, like: Any = None) -> bytes:
    """The bytes of a PNG, without metadata, or with those of the file `like` as `save_picture` has it."""
    if like is not None:
        return _encoded(Path("a.png"), ".png", image, Original.read(like), None, None)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
