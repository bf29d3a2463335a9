"""Files of a cache that know when they are damaged: their bytes, and a checksum after them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from sfumato.picture.files import write_atomically
from sfumato.progress import say

MARK = b"\nsha256 "
LENGTH = len(MARK) + 64


def write_sealed(path: Path, data: bytes) -> None:
    """`data` and its SHA-256 into `path`, whole or not at all."""
    write_atomically(path, data + MARK + hashlib.sha256(data).hexdigest().encode())


def read_sealed(path: Path) -> bytes | None:
    """What `write_sealed` wrote; None where there is nothing, or where it is damaged, which is said in a line."""
    try:
        whole = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        say(f"{path} can't be read ({error.strerror or error}): it counts as nothing")
        return None
    data, seal = whole[:-LENGTH], whole[-LENGTH:]
    if seal != MARK + hashlib.sha256(data).hexdigest().encode():
        say(f"{path} is damaged: it counts as nothing and is made again")
        return None
    return data
