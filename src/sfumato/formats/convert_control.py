"""A ControlNet or a T2I-Adapter as a single file in its makers' names, or as a folder in diffusers' format."""

from __future__ import annotations

from pathlib import Path

from sfumato.formats.folder import read_json
from sfumato.formats.key_names import write_tensors
from sfumato.formats.read_network import STEMS
from sfumato.formats.single_control import control_of, holds_control, naming_of_control
from sfumato.formats.tensor_file import ENDINGS, open_tensors
from sfumato.formats.weights import weight_files
from sfumato.formats.write import write_json
from sfumato.network.writing import save_tensors
from sfumato.picture.atomic import beside
from sfumato.picture.errors import BadInput, name_of, printable
from sfumato.zoo import INDEX
from sfumato.zoo.find import pickles_allowed


def is_control(source: Path) -> bool:
    """Whether a folder's config, or the names in a file, are those of a network that obeys controls."""
    if source.is_dir():
        config = source / "config.json"
        kind = str(read_json(config).get("_class_name")) if config.is_file() else ""
        return "ControlNet" in kind or kind == "T2IAdapter" if not (source / INDEX).is_file() else False
    if not source.is_file() or source.suffix.lower() not in ENDINGS:
        return False
    return holds_control(open_tensors(source, pickles_allowed()).shapes)


def convert_control(source: Path, target: Path) -> Path:
    """Writes the network in a folder as one file, or that in a file as a folder: the same tensors, to the bit.

    Raises BadInput for a target that is there, and for a network that no single file holds.
    """
    if target.exists():
        raise BadInput(f"{name_of(target)} is there already: name a file or folder that is not.")
    if source.is_dir() and target.suffix != ".safetensors":
        raise BadInput(f"{name_of(source)} is a folder already: name a file that ends in .safetensors.")
    if source.is_file() and target.suffix:
        raise BadInput(f"{name_of(source)} is a single file already: name a folder to write it as one.")
    return _to_file(source, target) if source.is_dir() else _to_folder(source, target)


def _to_file(folder: Path, target: Path) -> Path:
    config = read_json(folder / "config.json")
    found = naming_of_control(config)
    if found is None:
        kind = printable(config.get("_class_name"), 60)
        raise BadInput(
            f"{name_of(folder)} holds a {kind} for whose tensors single files have no names: keep it as it is."
        )
    state = {}
    for file in weight_files(folder):
        opened = open_tensors(file, allow_pickle=True)
        state |= {name: opened[name] for name in opened.shapes}
    save_tensors(write_tensors(state, *found), target)
    return target


def _to_folder(source: Path, target: Path) -> Path:
    control = control_of(open_tensors(source, pickles_allowed()))
    with beside(target) as part:
        part.mkdir()
        save_tensors(control.tensors(), part / f"{STEMS['diffusers']}.safetensors")
        write_json(part / "config.json", control.config)
    return target
