"""PNG files with texts or profiles that are longer than anybody reads: the same files without them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

LONGEST = 1 << 20
"""Bytes of one compressed text or profile after decompression; Pillow opens no PNG with a longer one."""
MOST = 32 << 20
"""Bytes of all texts together."""
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def without_long_texts(file: BinaryIO) -> tuple[bytes, list[str]] | None:
    """The PNG in `file` without the texts and profiles that are too long, and the keywords of those; None if none is.

    No more is decompressed than is needed to tell, so a bomb costs nothing.
    """
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
            names.append("its colour profile" if kind == b"iCCP" else _keyword(file.read(80)))
    if not cuts:
        return None
    file.seek(0)
    data = file.read()
    begins, ends = [0, *(end for _, end in cuts)], [*(start for start, _ in cuts), len(data)]
    return b"".join(data[begin:end] for begin, end in zip(begins, ends, strict=True)), names


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """(kind, where the chunk begins, length of its data) up to the end or to what is no chunk; the file stands at the
    data."""
    at = len(SIGNATURE)
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


def _keyword(start: bytes) -> str:
    return start.partition(b"\0")[0].decode("latin-1")
