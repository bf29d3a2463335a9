"""What a network that is shown a picture holds, in a folder or a file: a ControlNet, a T2I-Adapter, an IP-Adapter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sfumato.formats.folder import read_json
from sfumato.formats.single_control import control_of, holds_control
from sfumato.formats.tensor_file import PICKLES, open_tensors
from sfumato.formats.weights import weight_files
from sfumato.picture.errors import BadInput, printable
from sfumato.provenance.tensors import tensors
from sfumato.zoo import INDEX, place
from sfumato.zoo.borrowed import whole

NAMES = {"controlnet": "a ControlNet", "t2i_adapter": "a T2I-Adapter", "ip_adapter": "an IP-Adapter"}
"""In a sentence, by the part of a model that it would be."""
CONFIG, MAPS = "config.json", "maps.json"
PROJECTIONS = ("image_proj.", "ip_adapter_proj_model.")


@dataclass(frozen=True)
class ControlReport:
    """A network that is shown a picture. kind: the part of a model that it would be. made: its class. types: of its
    numbers. maps: those of a union, or of a folder of several."""

    path: str
    kind: str
    made: str
    numbers: int
    bytes: int
    types: tuple[str, ...]
    maps: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def text(self) -> str:
        """As `sfumato inspect` prints it."""
        made = f" ({self.made})" if self.made else ""
        size = f"{self.numbers:,} numbers in {', '.join(self.types)}, {self.bytes / 2**20:.1f} MiB"
        maps = [f"maps: {', '.join(self.maps)}"] if self.maps else []
        return "\n".join([f"{self.path}: {NAMES[self.kind]}{made}, {size}", *maps, f"used as: {self.option}"])

    @property
    def option(self) -> str:
        """How it is put in on the command line."""
        shown = "" if self.kind == "ip_adapter" else f"map={self.maps[0] if self.maps else 'MAP'},"
        return f"--control {self.kind.replace('_', '-')}:{shown}picture=FILE,net={self.path}"


def inspect_control(name: str | Path, *, allow_pickle: bool = False) -> ControlReport | None:
    """What a ControlNet, a T2I-Adapter or an IP-Adapter holds; None for what is none of them.

    name: its folder, in diffusers' format, its file, or what a built-in one is called, as mini-controlnet. Of a pickle
    it is only known where pickles are allowed. Raises BadInput where it can't be read.
    """
    path = Path(name).expanduser()
    if not path.exists() and (path := place(str(name))).is_dir():
        path = whole(path)
    if path.is_file():
        found = _of_file(path, allow_pickle)
    else:
        found = None if not path.is_dir() or (path / INDEX).is_file() else _of_folder(path, allow_pickle)
    if found is None:
        return None
    kind, made, files, maps = found
    stored = [each for file in files for each in tensors(file)]
    types = tuple(sorted({each.type for each in stored}))
    shown = printable(str(name), 300)
    sums = sum(each.elements for each in stored), sum(each.bytes for each in stored)
    return ControlReport(shown, kind, printable(made, 60), *sums, types, tuple(printable(each, 60) for each in maps))


Found = tuple[str, str, list[Path], list[str]]
"""Kind, class, files and maps."""


def _of_file(path: Path, allow_pickle: bool) -> Found | None:
    ending = path.suffix.lower()
    if ending != ".safetensors" and not (allow_pickle and ending in PICKLES):
        return None
    try:
        file = open_tensors(path, allow_pickle)
    except BadInput:  # who reads it as something else says what is wrong with it
        return None
    if any(name.startswith(PROJECTIONS) for name in file.shapes):
        return "ip_adapter", "", [path], []
    if not holds_control(file.shapes):
        return None
    return _kind(made := control_of(file).kind), made, [path], []


def _of_folder(folder: Path, allow_pickle: bool) -> Found | None:
    if (folder / CONFIG).is_file():
        config = read_json(folder / CONFIG)
        made = str(config.get("_class_name"))
        if not _shown_a_picture(made, config):
            return None
        named = read_json(folder / MAPS) if (folder / MAPS).is_file() else {}
        return _kind(made), made, weight_files(folder), [str(each) for each in named.values()]
    inner = {each.name: found for each in sorted(folder.iterdir()) if (found := _of_part(each, allow_pickle))}
    if inner:
        kind, made, *_ = next(iter(inner.values()))
        return kind, made, [file for _, _, files, _ in inner.values() for file in files], list(inner)
    files = [found for each in sorted(folder.iterdir()) if each.is_file() and (found := _of_file(each, allow_pickle))]
    return files[0] if len(files) == 1 else None


def _of_part(folder: Path, allow_pickle: bool) -> Found | None:
    """Of a network for one kind of map, in a folder of several."""
    return _of_folder(folder, allow_pickle) if (folder / CONFIG).is_file() else None


def _shown_a_picture(made: str, config: Mapping[str, Any]) -> bool:
    if made == "UNet2DConditionModel":  # Kandinsky's
        return config.get("addition_embed_type") == "image_hint"
    from sfumato.network.control_networks import KINDS  # which loads torch

    return made in KINDS or made == "T2IAdapter"


def _kind(made: str) -> str:
    return "t2i_adapter" if made == "T2IAdapter" else "controlnet"
