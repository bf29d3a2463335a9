"""What tensors a file of weights holds, from its header alone: nothing is loaded and nothing in it is executed."""

from __future__ import annotations

import math
import pickletools
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

from sfumato.formats.tensor_file import header_of
from sfumato.picture.errors import BadInput, name_of, printable

_LONGEST_PICKLE = 16 << 20
_STORAGES = {  # torch's names of number types: as safetensors calls them, and bytes each
    "DoubleStorage": ("F64", 8), "FloatStorage": ("F32", 4), "HalfStorage": ("F16", 2), "BFloat16Storage": ("BF16", 2),
    "LongStorage": ("I64", 8), "IntStorage": ("I32", 4), "ShortStorage": ("I16", 2), "CharStorage": ("I8", 1),
    "ByteStorage": ("U8", 1), "BoolStorage": ("BOOL", 1),
}  # fmt: skip


class StoredTensor(NamedTuple):
    """Its number of elements, its bytes, and its number type as safetensors calls it."""

    elements: int
    bytes: int
    type: str


def tensors(path: Path) -> list[StoredTensor]:
    """The tensors in a .safetensors or a .bin of torch; `BadInput` if it is damaged."""
    try:
        return _safetensors(path) if path.suffix == ".safetensors" else _torch(path)
    except Exception as error:  # a stranger's file: zip, JSON and pickle raise many kinds
        raise BadInput(f"{name_of(path)} is damaged ({printable(error, 120)}): copy or fetch it again") from None


def _safetensors(path: Path) -> list[StoredTensor]:
    entries, _ = header_of(path)
    return [StoredTensor(math.prod(each.shape), each.end - each.start, each.type) for each in entries.values()]


def _torch(path: Path) -> list[StoredTensor]:
    """A zip of a pickle, which names the tensors, and their numbers. Of an older file its length alone."""
    if not zipfile.is_zipfile(path):
        return [StoredTensor(0, path.stat().st_size, "an old pickle")]
    with zipfile.ZipFile(path) as archive:
        header = next(entry for entry in archive.infolist() if entry.filename.endswith("data.pkl"))
        if header.file_size > _LONGEST_PICKLE:
            raise ValueError("its header is too long")
        return _storages(archive.read(header))


def _storages(data: bytes) -> list[StoredTensor]:
    """The storages that a pickle refers to, each once, however many tensors share it.

    The pickle is not run, only its instructions are gone through. A reference is a tuple of "storage", its type, a key,
    a device and the number of elements; strings that were named before are looked up.
    """
    found: dict[str, StoredTensor] = {}
    named: dict[Any, Any] = {}
    recent: list[Any] = []
    for code, value, _ in pickletools.genops(data):
        if code.name == "MARK":
            recent = []
        elif code.name in ("BINPUT", "LONG_BINPUT"):
            named[value] = recent[-1] if recent else None
        elif code.name in ("BINGET", "LONG_BINGET"):
            recent.append(named.get(value))
        elif code.name == "BINPERSID":
            kind, width = _STORAGES[str(recent[1]).removeprefix("torch ")]
            found[str(recent[2])] = StoredTensor(int(recent[4]), int(recent[4]) * width, kind)
        elif value is not None:
            recent.append(value)
    return list(found.values())
