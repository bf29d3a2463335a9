"""Networks that obey controls, from their folders: ControlNets and T2I-Adapters. (`ip_adapter` reads image prompts.)"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from sfumato.formats.folder import read_json
from sfumato.formats.own_suits import FILE
from sfumato.formats.read_network import check_config, read_network
from sfumato.formats.single_control import control_of
from sfumato.formats.tensor_file import open_tensors
from sfumato.network.control_networks import KINDS
from sfumato.network.kandinsky_controlnet import TOLD
from sfumato.picture.errors import BadInput, name_of, printable
from sfumato.zoo.find import pickles_allowed

if TYPE_CHECKING:
    from torch import nn

MAPS = "maps.json"


def read_controlnet(folder: Path) -> nn.Module:
    """The ControlNet in a folder of diffusers' format, or in a single file; BadInput for any other network.
    Kandinsky's is a decoder, of whose pipeline the folder may be. A union's folder may name its maps by their numbers,
    in maps.json: {"0": "canny", "1": "depth"}, and say in sfumato.json how strong each is best put in:
    {"weights": {"canny": 2.0}}, by which the weight of a control is multiplied."""
    if folder.is_file():
        return _read_single(folder, "ControlNetModel", folder.stat().st_mtime_ns, pickles_allowed())
    folder = folder if (folder / "config.json").is_file() else folder / "unet"
    network = _read(folder, tuple(KINDS), (folder / "config.json").stat().st_mtime_ns)
    if (folder / MAPS).is_file():
        vars(network)["maps"] = _maps(folder)
        vars(network)["weights"] = _weights(folder, network.maps)  # pyright: ignore[reportArgumentType]
    return network


def _maps(folder: Path) -> dict[str, int]:
    """The kinds of maps of a union by their names. Raises BadInput where its list of them is none."""
    found = read_json(folder / MAPS)
    if not all(str(number).isdecimal() and isinstance(name, str) for number, name in found.items()):
        raise BadInput(f"{name_of(folder / MAPS)} holds no list of maps by their numbers: write the folder again.")
    return {name: int(number) for number, name in found.items()}


def _weights(folder: Path, maps: dict[str, int]) -> dict[int, float]:
    """What the weights of a union's maps are multiplied by, by their numbers. Raises BadInput where that is no number,
    or of no map."""
    path = folder / FILE
    said = read_json(path) if path.is_file() else {}
    found = said.get("weights", {})
    if said.keys() - {"weights"} or not isinstance(found, dict):
        raise BadInput(f'{name_of(path)} of a union of ControlNets says more than weights: {{"weights": {{...}}}}.')
    for name, weight in found.items():
        if name not in maps or isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight <= 10:
            raise BadInput(
                f"{name_of(path)} gives {printable(name, 60)} the weight {printable(weight, 60)}: its maps are "
                f"{', '.join(maps)}, and a weight is a number above 0 and up to 10."
            )
    return {maps[name]: float(weight) for name, weight in found.items()}


def read_t2i_adapter(folder: Path) -> nn.Module:
    """The T2I-Adapter in a folder of diffusers' format, or in a single file; BadInput for any other network."""
    if folder.is_file():
        return _read_single(folder, "T2IAdapter", folder.stat().st_mtime_ns, pickles_allowed())
    return _read(folder, ("T2IAdapter",), (folder / "config.json").stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _read_single(path: Path, kind: str, stamp: int, pickles: bool) -> nn.Module:
    found = control_of(open_tensors(path, pickles))
    if found.kind != kind:
        raise BadInput(f"{name_of(path)} holds a {found.kind}; accepted here is a {kind}.")
    return found.network()


@lru_cache(maxsize=8)
def _read(folder: Path, kinds: tuple[str, ...], stamp: int) -> nn.Module:
    what = f"{kinds[0]} in {name_of(folder)}"
    config = read_json(folder / "config.json")
    kind = printable(config.get("_class_name"), 60)
    if kind not in kinds:
        raise BadInput(f"{name_of(folder)} holds a {kind}; accepted here is {' or '.join(kinds)}.")
    if kind == "UNet2DConditionModel" and config.get("addition_embed_type") != "image_hint":
        raise BadInput(f"{name_of(folder)} is the network of a model that paints, and no ControlNet: name another net.")
    check_config(kind, config, what, TOLD if kind == "UNet2DConditionModel" else {})
    return read_network(kind, folder, what, torch.float32)
