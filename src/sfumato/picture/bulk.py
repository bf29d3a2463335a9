"""Files that hold more text than anybody reads, as bombs do: the same pictures without it.

Pillow refuses such a PNG and takes a time that grows with the square of the length for such a JPEG or GIF.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

LONGEST = 1 << 20
"""Bytes of one compressed text or profile of a PNG after decompression; Pillow opens no PNG with a longer one."""
MOST = 32 << 20
"""Bytes of all texts of a PNG together."""
COMMENTS = 1 << 16
"""Bytes of all comments of a GIF."""
PIECES = 64
"""Pieces of a JPEG's EXIF, which has one by its standard."""
_PNG = b"\x89PNG\r\n\x1a\n"
_EXIF, _NO_EXIF = b"Exif\0\0", b"exif\0\0"

Shorter = tuple[bytes, list[str]]


def shorter(file: BinaryIO) -> Shorter | None:
    """The picture in `file` without what is too long in it, and the names of that; None if nothing is."""
    start = file.read(16)
    if start.startswith(_PNG):
        return _png(file)
    if start.startswith((b"GIF87a", b"GIF89a")):
        return _gif(file)
    return _jpeg(file) if start.startswith(b"\xff\xd8\xff") else None


def _png(file: BinaryIO) -> Shorter | None:
    """No more is decompressed than is needed to tell, so a bomb costs nothing."""
    cuts: list[tuple[int, int]] = []
    names: list[str] = []
    total = 0
    for kind, start, length in _chunks(file):
        if kind not in (b"tEXt", b"zTXt", b"iTXt", b"iCCP"):
            continue
        size, packed = (length, False) if total > MOST else _size(kind, file.read(length))
        total += size
        if total > MOST or (packed and size > LONGEST):
            file.seek(start + 8)
            cuts.append((start, start + 12 + length))
            name = file.read(80).partition(b"\0")[0].decode("latin-1")
            names.append("its colour profile" if kind == b"iCCP" else name)
    file.seek(0)
    return (_without(file.read(), cuts), names) if cuts else None


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """(kind, where the chunk begins, length of its data) of a PNG up to the end or to what is no chunk; the file stands
    at the data."""
    at = len(_PNG)
    while True:
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            return
        length, kind = struct.unpack(">I4s", head)
        if not kind.isalpha() or kind == b"IEND":
            return
        yield kind, at, length
        at += 12 + length


def _size(kind: bytes, data: bytes) -> tuple[int, bool]:
    """How many bytes the text or profile in a chunk has, as far as it matters, and whether it is compressed."""
    rest = data.partition(b"\0")[2]
    if kind == b"tEXt" or (kind == b"iTXt" and rest[:1] != b"\1"):
        return len(data), False
    packed = rest[2:].partition(b"\0")[2].partition(b"\0")[2] if kind == b"iTXt" else rest[1:]
    try:
        return len(zlib.decompressobj().decompress(packed, LONGEST + 1)), True
    except zlib.error:
        return 0, True


def _gif(file: BinaryIO) -> Shorter | None:
    """Looked at as far as Pillow does: up to the second frame."""
    file.seek(0)
    data = file.read()
    at, images, total = 13 + _table(data, 10), 0, 0
    cuts: list[tuple[int, int]] = []
    while at < len(data) and data[at] != 0x3B and images < 2:
        begin, kind = at, data[at]
        if kind == 0x21:  # an extension; 0xFE is a comment
            at = _blocks(data, at + 2)
            if data[begin + 1 : begin + 2] == b"\xfe":
                total += at - begin
                cuts += [(begin, at)] if total > COMMENTS else []
        elif kind == 0x2C:
            images += 1
            at = _blocks(data, at + 11 + _table(data, at + 9))
        else:
            at += 1
    return (_without(data, cuts), ["comments"]) if cuts else None


def _table(data: bytes, at: int) -> int:
    """The length of the colour table that a byte of flags announces."""
    flags = data[at] if at < len(data) else 0
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _blocks(data: bytes, at: int) -> int:
    """The end of a chain of blocks, each with its length before it."""
    while at < len(data) and data[at]:
        at += 1 + data[at]
    return at + 1


def _jpeg(file: BinaryIO) -> Shorter | None:
    """Surplus pieces of EXIF lose their name, so that nothing joins them."""
    file.seek(0)
    parts = file.read().split(_EXIF, PIECES)
    if len(parts) <= PIECES or _EXIF not in parts[-1]:
        return None
    return _EXIF.join([*parts[:-1], parts[-1].replace(_EXIF, _NO_EXIF)]), ["EXIF"]


def _without(data: bytes, cuts: list[tuple[int, int]]) -> bytes:
    begins, ends = [0, *(end for _, end in cuts)], [*(start for start, _ in cuts), len(data)]
    return b"".join(data[begin:end] for begin, end in zip(begins, ends, strict=True))
