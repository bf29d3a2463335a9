"""A file of named tensors: their names, shapes and number types at once, their numbers when they are asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sfumato.network.reading import reason
from sfumato.picture.errors import BadInput, name_of, printable

if TYPE_CHECKING:
    from torch import Tensor

Shape = tuple[int, ...]
PICKLES = (".ckpt", ".pt", ".pth", ".bin")
ENDINGS = (".safetensors", *PICKLES)
WIDTHS = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "I16": 2}
"""Bytes of a number; 1 of all others."""
LONGEST = 100 << 20  # bytes of a header
_TYPES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "float64": "F64", "int64": "I64", "int32": "I32"}


class HeaderEntry(NamedTuple):
    """A tensor of a header: its number type as safetensors calls it, its shape, and where its bytes begin and end."""

    type: str
    shape: Shape
    start: int
    end: int


@dataclass(frozen=True)
class TensorFile:
    """shapes, types: by the tensors' names. metadata: what the file says of itself in words. sizes: bytes of tensors,
    where they are not those of their numbers."""

    path: Path
    shapes: Mapping[str, Shape]
    types: Mapping[str, str]
    metadata: Mapping[str, str] = field(default_factory=dict)
    loaded: Mapping[str, Any] = field(default_factory=dict, repr=False)
    sizes: Mapping[str, int] = field(default_factory=dict, repr=False)

    def bytes(self, name: str) -> int:
        return self.sizes.get(name, prod(self.shapes[name]) * WIDTHS.get(self.types[name], 1))

    @cached_property
    def _open(self) -> Any:
        from safetensors import safe_open

        return safe_open(self.path, "pt")

    def __getitem__(self, name: str) -> Tensor:
        if name in self.loaded:
            return self.loaded[name]
        return self._open.get_tensor(name)


def open_tensors(path: Path, allow_pickle: bool = False) -> TensorFile:
    """The tensors of a .safetensors, or of a pickle (.ckpt, .pt) where that is allowed.

    Raises BadInput for a file that was cut short, and for a pickle that is not allowed or holds more than tensors.
    """
    if path.suffix.lower() not in PICKLES:
        return _safetensors(path)
    if not allow_pickle:
        raise BadInput(
            f"{name_of(path)} is a pickle, a kind of file that may hold a program: take its .safetensors, or allow it "
            "with allow_pickle=True (--allow-pickle), which reads tensors alone."
        )
    return _pickle(path)


def tensors_of(path: Path, what: str, allow_pickle: bool = False) -> dict[str, Tensor]:
    """All tensors of a small file. Raises BadInput as `open_tensors`; its sentences call a .safetensors `what`."""
    from safetensors.torch import load_file

    if path.suffix in PICKLES:
        opened = open_tensors(path, allow_pickle)
        return {name: opened[name] for name in opened.shapes}
    try:
        return load_file(path)
    except Exception as error:
        raise BadInput(f"The {what} {name_of(path)} can't be read: {reason(error)}") from error


def header_of(path: Path) -> tuple[dict[str, HeaderEntry], dict[str, Any]]:
    """The tensors that the header of a .safetensors names, and what the file says of itself in words.

    The file is eight bytes of length, then JSON, then numbers. Raises ValueError and its like for one that was cut
    short or whose header is none.
    """
    whole = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(LONGEST, whole - 8):
            raise ValueError("its header is longer than the file")
        header = json.loads(file.read(length))
    said = header.pop("__metadata__", {})
    entries = {
        name: HeaderEntry(str(each["dtype"]), tuple(map(int, each["shape"])), *map(int, each["data_offsets"]))
        for name, each in header.items()
    }
    if 8 + length + max((each.end for each in entries.values()), default=0) != whole:
        raise ValueError("it is cut short or has been added to")
    return entries, said


def _safetensors(path: Path) -> TensorFile:
    try:
        entries, said = header_of(path)
        shapes = {name: each.shape for name, each in entries.items()}
        types = {name: each.type for name, each in entries.items()}
        return TensorFile(path, shapes, types, {str(key): str(value) for key, value in said.items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput(f"{name_of(path)} is damaged ({printable(error, 120)}): copy or fetch it again.") from None


def _pickle(path: Path) -> TensorFile:
    """Tensors alone (torch's weights_only): whatever else a pickle would make is refused by torch."""
    import pickle
    import zipfile

    import torch

    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise BadInput(
            f"{name_of(path)} holds more than tensors, and nothing else is read from a pickle "
            f"({printable(str(error).strip().splitlines()[0], 120)}): take its .safetensors."
        ) from None
    except Exception as error:  # a stranger's file: zip and pickle raise many kinds
        raise BadInput(f"{name_of(path)} is damaged ({printable(error, 120)}): copy or fetch it again.") from None
    inner = found.get("state_dict", found) if isinstance(found, dict) else {}
    loaded = {str(name): value for name, value in inner.items() if isinstance(value, torch.Tensor)}
    for part, tensors in inner.items():  # as IP-Adapters have them
        if isinstance(tensors, dict):
            loaded |= {f"{part}.{name}": each for name, each in tensors.items() if isinstance(each, torch.Tensor)}
    said = {"global_step": str(found["global_step"])} if isinstance(found.get("global_step"), int) else {}
    return TensorFile(
        path,
        {name: tuple(value.shape) for name, value in loaded.items()},
        {name: _TYPES.get(str(value.dtype).removeprefix("torch."), str(value.dtype)) for name, value in loaded.items()},
        said,
        loaded,
    )
