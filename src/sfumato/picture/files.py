"""The one door through which pictures leave: whole, or not at all."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import stat
from pathlib import Path
from typing import Any

from PIL import Image

from sfumato.picture.door import open_picture
from sfumato.picture.errors import BadInput, name_of
from sfumato.picture.metadata import exif_and_xmp, png_text

WRITABLE = (".png", ".jpg", ".jpeg", ".webp")
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


def check_writable(path: str | os.PathLike[str]) -> Path:
    """`path` as a Path, if its extension and what stands there allow a picture to be saved; else `BadInput`.

    For use before long work: it touches nothing, so a full or read-only disk still shows only when writing.
    """
    path = Path(path)
    if path.suffix.lower() not in WRITABLE:
        raise BadInput(f"{name_of(path)} must end in {', '.join(WRITABLE[:-1])} or {WRITABLE[-1]}, to say its format")
    _replaceable(path)
    return path


def numbered(path: str | os.PathLike[str], count: int) -> list[Path]:
    """Where `count` pictures go: `path` itself for one; g-0.png, g-1.png, ... beside g.png for several."""
    path = Path(path)
    return [path] if count == 1 else [path.with_name(f"{path.stem}-{i}{path.suffix}") for i in range(count)]


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` to `path` so that at every moment either the old file or the whole new one stands there.

    Raises `BadInput` with the system's reason; nothing is left behind then.
    """
    path = Path(path)
    _replaceable(path)
    part = None
    try:
        target = Path(os.path.realpath(path))  # through a symbolic link, not over it
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.parent / f".{target.name[:60]}.{secrets.token_hex(6)}.part"
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, target)
        _sync_folder(target.parent)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise BadInput(f"{name_of(path)} can't be written: {reason}") from None
    finally:
        if part is not None:
            with contextlib.suppress(OSError):
                part.unlink()


def _replaceable(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        folder = next((above for above in path.absolute().parents if os.path.lexists(above)), None)
        if folder is not None and not folder.is_dir():
            raise BadInput(f"{name_of(path)} can't be written: {name_of(folder)} is not a folder") from None
        if folder is not None and not os.access(folder, os.W_OK | os.X_OK):
            raise BadInput(f"{name_of(path)} can't be written: {name_of(folder)} allows no new files") from None
        return
    except (OSError, ValueError) as error:
        raise BadInput(f"{name_of(path)} can't be written: {getattr(error, 'strerror', None) or error}") from None
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "not an ordinary file"
        raise BadInput(f"{name_of(path)} can't be written: it is {kind}")


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # some file systems can't, and the file itself is safe already
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def encode_png(image: Image.Image) -> bytes:
    """The bytes of a PNG without metadata."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
