"""The one door through which pictures leave: whole, or not at all."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

from PIL import Image

from sfumato.picture.atomic import write_atomically
from sfumato.picture.door import open_picture
from sfumato.picture.errors import BadInput, name_of
from sfumato.picture.metadata import exif_and_xmp, png_text
from sfumato.picture.paths import check_writable

_LONGEST = {".jpg": 65_500, ".jpeg": 65_500, ".webp": 16_383}


def save_picture(
    image: Any, path: str | os.PathLike[str], *, recipe_json: str | None = None, parameters: str | None = None
) -> Path:
    """Write `image` (PIL, or an array as `open_picture` takes it) to `path`, with its metadata; returns the path.

    The extension chooses the format: .png and .webp keep every pixel (WebP is written lossless), .jpg and .jpeg are
    written at quality 95 without chroma subsampling. Missing folders are made. The file appears whole or not at all:
    a temporary file in the same folder, fsync, rename; a file that stood there is replaced only then.
    Raises `BadInput` for another extension, a folder or device in the way, a full disk, or metadata too long for JPEG.
    """
    path = check_writable(path)
    picture = open_picture(image)
    suffix = path.suffix.lower()
    longest = _LONGEST.get(suffix)
    if longest and max(picture.size) > longest:
        raise BadInput(f"{name_of(path)}: {suffix} holds at most {longest} pixels a side: save as .png")
    buffer = io.BytesIO()
    if suffix == ".png":
        picture.save(buffer, "PNG", pnginfo=png_text(recipe_json, parameters))
    else:
        options: dict[str, Any] = exif_and_xmp(recipe_json, parameters)
        try:
            if suffix == ".webp":
                picture.save(buffer, "WEBP", lossless=True, exact=True, **options)
            else:
                picture.save(buffer, "JPEG", quality=95, subsampling=0, **options)
        except ValueError as error:  # Pillow: "EXIF data is too long", "XMP data is too long"
            raise BadInput(
                f"{name_of(path)} can't hold so long a prompt or recipe in its metadata: save as .png"
            ) from error
    write_atomically(path, buffer.getvalue())
    return path


def encode_png(image: Image.Image) -> bytes:
    """The bytes of a PNG without metadata."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
