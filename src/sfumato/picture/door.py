"""The one door through which pictures and masks come in."""

from __future__ import annotations

import io
import os
import re
import stat
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from sfumato.picture import bulk, tiff
from sfumato.picture.arrays import from_array
from sfumato.picture.colour import Say, orientation, to_grey, to_rgb, turned
from sfumato.picture.errors import BadInput, PictureWarning, name_of, note, printable, unsaid
from sfumato.picture.modes import check_known
from sfumato.picture.paths import path_of

ACCEPTED = ("PNG", "JPEG", "WebP", "GIF", "BMP", "TIFF")
MAX_PIXELS = 64_000_000
MAX_BYTES = 1 << 29

_FORMATS = [name.upper() for name in ACCEPTED]
_READ_HERE = ", ".join(ACCEPTED[:-1]) + " and " + ACCEPTED[-1] + " are read"
_SIGNATURES = (
    (0, b"%PDF", "a PDF document"),
    (0, b"%!PS", "a PostScript file"),
    (0, b"<svg", "an SVG drawing"),
    (0, b"<?xml", "an XML or SVG file"),
    (0, b"<!DOCTYPE", "a web page"),
    (0, b"<html", "a web page"),
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"II*\0", "a TIFF of a kind that is not read, or damaged"),
    (0, b"MM\0*", "a TIFF of a kind that is not read, or damaged"),
    (0, b"II+\0", "a BigTIFF of a kind that is not read, or damaged"),
    (0, b"MM\0+", "a BigTIFF of a kind that is not read, or damaged"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"gimp xcf", "a GIMP file"),
    (4, b"ftypavif", "an AVIF picture"),
    (4, b"ftyphei", "a HEIC picture"),
    (4, b"ftypmif1", "a HEIC picture"),
    (4, b"ftyp", "a video"),
)
_filters = threading.Lock()  # warnings.catch_warnings swaps a global


def open_picture(source: Any, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The picture in `source` as a fresh PIL image in mode RGB, sRGB colours, upright, without metadata.

    `source` is a path, the bytes of a file, a PIL image, or a numpy array: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4),
    uint8, uint16, bool, or float in [0, 1]. Files may be PNG, JPEG, WebP, GIF, BMP or TIFF, whatever their name says.

    EXIF orientation is applied; 16-bit and floating-point greys are scaled to 0..255; palettes, CMYK and embedded
    colour profiles are converted to sRGB (a profile within one level of sRGB is left alone, so that pixels stay as
    they are). Transparent parts are laid on white, of an animation the first frame is taken: both with a
    `PictureWarning`. Raises `BadInput`, in one sentence that names the file, for anything else.
    """
    return _through(source, max_pixels, "the picture", to_rgb)


def open_mask(source: Any, size: tuple[int, int] | None = None, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The mask in `source` as a PIL image in mode L: white (255) = repaint, black = keep, greys in between.

    Sources as in `open_picture`. Colours are taken by their luminance and colour profiles are not applied: a mask
    holds numbers. A mask with transparency is refused, because tools read it in opposite ways; so is one whose values
    are only 0 and 1 of 255. `size` is (width, height) of the picture it belongs to; another size is refused.
    """
    mask = _through(source, max_pixels, "the mask", to_grey)
    if size is not None and mask.size != tuple(size):
        raise BadInput(
            f"{name_of(source, 'the mask')} is {mask.width} x {mask.height}, but the picture is {size[0]} x {size[1]}: "
            "a mask must have the size of its picture"
        )
    return mask


def reread(data: bytes, *, mask: bool = False) -> Image.Image:
    """The picture or mask in a file that came in before: without the notes that were said then."""
    name, convert = ("the mask", to_grey) if mask else ("the picture", to_rgb)
    return _through(data, MAX_PIXELS, name, convert, unsaid)


def _through(
    source: Any, max_pixels: int, what: str, convert: Callable[..., Image.Image], say: Say = note
) -> Image.Image:
    name = name_of(source, what)
    image = opened(source, name, max_pixels, say)
    try:
        check_known(image, name)
        image.load()
        _capped(image.size, name, max_pixels)
        if _moves(image):
            say(f"{name} has several frames: the first is used")
        return turned(convert(image, name, say), orientation(image))
    except (BadInput, PictureWarning):  # a PictureWarning is raised where the caller turned warnings into errors
        raise
    except MemoryError:
        raise BadInput(f"{name} does not fit into memory: make it smaller") from None
    except Exception as error:  # Pillow raises OSError, ValueError, SyntaxError, TypeError, struct.error and more
        raise _damaged(name, error) from error
    finally:
        if not isinstance(source, Image.Image):
            image.close()


def opened(source: Any, name: str, max_pixels: int, say: Say = note) -> Image.Image:
    """A PIL image of which the size is known and allowed, and nothing is decoded yet."""
    if isinstance(source, Image.Image):
        image = source
    elif isinstance(source, np.ndarray):
        return from_array(source, name, max_pixels)
    elif isinstance(source, bytes | bytearray | memoryview):
        image = _opened(io.BytesIO(source), None, name, say)
    elif isinstance(source, str | os.PathLike):
        path = path_of(source)
        with _file(path, name) as file:
            image = _opened(file, path, name, say)
    else:
        raise BadInput(
            f"{name} is a {type(source).__name__}: give a path, bytes, a PIL image or a numpy array (H, W, 3)"
        )
    _capped(image.size, name, max_pixels)
    return image


def _opened(file: Any, path: Path | None, name: str, say: Say) -> Image.Image:
    """The picture in an open file, which Pillow opens once more by its `path` if it has one."""
    start = file.read(64)
    file.seek(0)
    if (shorter := bulk.shorter(file)) is not None:
        data, texts = shorter
        said = ", ".join(dict.fromkeys(printable(text, 80) for text in texts))
        say(f"{name} holds more text than is read: {printable(said)}")
        return _header(start, io.BytesIO(data), name)
    file.seek(0)
    if start.startswith(tiff.SIGNATURES) and (readable := tiff.readable(file)) is not None:
        image = _header(start, io.BytesIO(readable), name)
        image.tag_v2[tiff.PHOTOMETRIC] = 0  # type: ignore[attr-defined]
        return image
    file.seek(0)
    return _header(start, path or file, name)


def _file(path: Path, name: str) -> io.BufferedReader:
    if re.match(r"(?i)https?:/", str(path)):
        raise BadInput(f"{name} is a web address: fetch the picture and give the path of the file")
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise BadInput(f"{name} is a folder: give the path of one picture ({_READ_HERE})")
        if not stat.S_ISREG(status.st_mode):
            raise BadInput(f"{name} is not a file: give the path of a picture ({_READ_HERE})")
        if status.st_size == 0:
            raise BadInput(f"{name} is empty: give the path of a picture ({_READ_HERE})")
        if status.st_size > MAX_BYTES:
            raise BadInput(f"{name} is {status.st_size >> 20} MiB: at most {MAX_BYTES >> 20} MiB are read")
        return path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        raise BadInput(f"{name} does not exist: give the path of a picture ({_READ_HERE})") from None
    except PermissionError:
        raise BadInput(f"{name} may not be read: change its permissions or give another file") from None
    except (OSError, ValueError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{name} can't be opened ({_reason(error)})") from None


def _header(start: bytes, file: Any, name: str) -> Image.Image:
    if not start:
        raise BadInput(f"{name} is empty: give a picture ({_READ_HERE})")
    try:
        with _filters, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return Image.open(file, formats=_FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadInput(f"{name} has too many pixels: at most {MAX_PIXELS // 10**6} megapixels are read") from None
    except UnidentifiedImageError:
        raise BadInput(f"{name} is {_kind(start)}: {_READ_HERE}") from None
    except MemoryError:
        raise BadInput(f"{name} does not fit into memory: make it smaller") from None
    except Exception as error:
        raise _damaged(name, error) from error


def _capped(size: tuple[int, int], name: str, max_pixels: int) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise BadInput(f"{name} has no pixels ({width} x {height}): give a picture of at least 1 x 1")
    if width * height > max_pixels:
        raise BadInput(
            f"{name} is {width} x {height}, {width * height / 1e6:.1f} megapixels: at most {max_pixels / 1e6:g} are"
        )


def _moves(image: Image.Image) -> bool:
    return image.format not in (None, "MPO") and bool(getattr(image, "is_animated", False))


def _kind(start: bytes) -> str:
    for offset, magic, kind in _SIGNATURES:
        if start[offset : offset + len(magic)].lower() == magic.lower():
            return kind
    return "not a picture, or too damaged to be known as one"


def _damaged(name: str, error: Exception) -> BadInput:
    return BadInput(f"{name} is damaged or cut short ({_reason(error)}): save it or fetch it again")


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return printable(text, 120).strip().rstrip(".") or type(error).__name__
