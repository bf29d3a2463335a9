"""Networks that read maps: the built-in ones, folders that `sfumato train` exports, and those of transformers."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sfumato.lazy import torch
from sfumato.picture import BadInput
from sfumato.picture.errors import printable
from sfumato.zoo import place
from sfumato.zoo.find import fetched, is_hub_id

if TYPE_CHECKING:
    from PIL import Image

    from sfumato.network.map_network import MapNetwork

FILES = ("config.json", "preprocessor_config.json", "model*.safetensors", "model.safetensors.index.json")
"""What is fetched of a network on the Hub."""


def read_built_in(network: type[MapNetwork], net: str, image: Image.Image, at_its_size: bool = True) -> Any:
    """The maps (C, H, W) of logits that a network of our own reads in a picture.

    net: a folder, "" for the built-in one. at_its_size: whether the picture is shown with the shorter side that the
    network was trained on, and the maps enlarged (things have the size that it knows); else as it is.
    """
    from torch.nn.functional import interpolate

    from sfumato.network.engine import Eager
    from sfumato.network.map_network import MAPS

    made = _own(network, _folder(net, place(network.kind)))
    pixels = torch.from_numpy(np.array(image.convert("RGB")))
    x, shape = pixels.permute(2, 0, 1)[None].float() / 127.5 - 1, image.size[::-1]
    if at_its_size and min(shape) != made.size:
        scale = made.size / min(shape)
        small = tuple(max(8, round(side * scale)) for side in shape)
        x = interpolate(x, small, mode="bicubic", antialias=True, align_corners=False).clamp(-1, 1)
    with torch.no_grad():
        answer = Eager().prepare(made, MAPS)(pictures=x)[-1]
    return interpolate(answer, shape, mode="bilinear", align_corners=False)[0]


def names_of(network: type[MapNetwork], net: str) -> tuple[str, ...]:
    """What the channels of its maps are."""
    return _own(network, _folder(net, place(network.kind))).names


def foreign(net: str) -> bool:
    """Whether `net` names a network of transformers: its config.json says a model_type."""
    return bool(net) and "model_type" in _config(_folder(net))


def holds(network: type[MapNetwork], net: str) -> bool:
    """Whether `net` is a folder that holds such a network of our own."""
    return bool(net) and _config(_folder(net)).get("kind") == f"sfumato-{network.kind}"


def transformers_network(net: str, kind: str) -> tuple[Any, Any]:
    """The image processor and the network in a folder of transformers, of a kind that its Auto classes know
    ("DepthEstimation", ...), or "PoseEstimation", ViTPose. Raises BadInput where there is no such."""
    return _theirs(_folder(net), kind)


def _folder(net: str, built_in: Path | None = None) -> Path:
    if not net and built_in is not None:
        return built_in
    folder = Path(net).expanduser()
    if not folder.is_dir() and is_hub_id(net):
        folder = fetched(net, FILES, "the network of maps")
    if not (folder / "config.json").is_file():
        raise BadInput(
            f"There is no network called {printable(repr(net), 100)}: give the path of a folder with a config.json, a "
            "Hub id (owner/name), or nothing for the built-in one."
        )
    return folder


def _config(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise BadInput(f"{folder}/config.json can't be read: give the folder of a network.") from error


def _own(network: type[MapNetwork], folder: Path) -> MapNetwork:
    return _own_of(network, folder, (folder / "config.json").stat().st_mtime_ns if folder.is_dir() else 0)


@lru_cache(maxsize=8)
def _own_of(network: type[MapNetwork], folder: Path, stamp: int) -> MapNetwork:
    return network.load(folder)


@lru_cache(maxsize=4)
def _theirs(folder: Path, kind: str) -> tuple[Any, Any]:
    import transformers

    try:
        processor = transformers.AutoImageProcessor.from_pretrained(folder, local_files_only=True, backend="pil")
        known = {kind: f"AutoModelFor{kind}", "PoseEstimation": "VitPoseForPoseEstimation"}
        network = getattr(transformers, known[kind]).from_pretrained(
            folder, local_files_only=True, use_safetensors=True
        )
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise BadInput(
            f"{folder} holds no network of transformers for {kind} that can be read ({reason}): it needs config.json, "
            "model.safetensors and preprocessor_config.json."
        ) from error
    return processor, network.eval().requires_grad_(False)


def as_array(tensor: Any) -> np.ndarray:
    return tensor.float().cpu().numpy()
