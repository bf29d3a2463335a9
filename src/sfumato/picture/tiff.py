"""TIFF files of greys in which 0 is white, of the depths and byte orders that Pillow knows only the other way round."""

from __future__ import annotations

import struct
from typing import BinaryIO

from PIL import TiffImagePlugin

SIGNATURES = (b"II*\0", b"MM\0*")
PHOTOMETRIC = 262
_BITS, _FILL_ORDER, _EXTRA, _FORMAT, _SHORT = 258, 266, 338, 339, 3


def readable(file: BinaryIO) -> bytes | None:
    """The TIFF in `file` marked as greys in which 0 is black, if 0 is white in it and Pillow opens only that; else
    None. The caller turns the greys around."""
    head = file.read(8)
    order = "<" if head[:2] == b"II" else ">"
    if len(head) < 8:
        return None
    at = struct.unpack(order + "4xI", head)[0]
    file.seek(at)
    count = struct.unpack(order + "H", file.read(2).rjust(2, b"\0"))[0]
    entries = file.read(12 * count)
    found: dict[int, tuple[int, tuple[int, ...]]] = {}
    for i in range(len(entries) // 12):
        tag, kind, number = struct.unpack_from(order + "HHI", entries, 12 * i)
        if kind == _SHORT and number <= 2:
            found[tag] = at + 2 + 12 * i + 8, struct.unpack_from(f"{order}{number}H", entries, 12 * i + 8)
    if found.get(PHOTOMETRIC, (0, ()))[1] != (0,):
        return None

    def key(photometric: int) -> tuple[object, ...]:
        said = (
            found.get(tag, (0, default))[1] for tag, default in ((_FORMAT, (1,)), (_FILL_ORDER, (1,)), (_BITS, (1,)))
        )
        form, fill, bits = said
        return head[:2], photometric, tuple(set(form)), *fill, bits, found.get(_EXTRA, (0, ()))[1]

    if key(0) in TiffImagePlugin.OPEN_INFO or key(1) not in TiffImagePlugin.OPEN_INFO:
        return None
    file.seek(0)
    data = bytearray(file.read())
    struct.pack_into(order + "H", data, found[PHOTOMETRIC][0], 1)
    return bytes(data)
