"""Networks beside a model's own that a recipe names: a classifier, a CLIP, another model's stage. Each is read once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from sfumato.encode.clip import load_clip
from sfumato.formats import format_of
from sfumato.formats.control_network import read_controlnet, read_t2i_adapter
from sfumato.formats.ip_adapter import read_ip_adapter
from sfumato.formats.own_suits import own_suits
from sfumato.formats.parts import Parts, Shared
from sfumato.formats.tensor_file import ENDINGS
from sfumato.network.device import check_device
from sfumato.network.engine import dtype_of, engine_of
from sfumato.network.offload import check_offload
from sfumato.network.reading import quiet_libraries
from sfumato.picture import BadInput, path_of
from sfumato.picture.errors import printable
from sfumato.stage import Stage, main_of
from sfumato.zoo import INDEX, built_ins, place
from sfumato.zoo.borrowed import whole
from sfumato.zoo.find import find, here


def network_of(name: str, part: str, model: str, kind: str = "") -> Any:
    """The network `part` called `name`: a path, a built-in name, or "", that in the folder of `model`. kind: of map,
    for a folder that has a network for each.

    Raises BadInput where there is none.
    """
    return READERS[part](place_of(name, part, model, kind))


def read_stages(
    name: str | Path, engine: str, precision: str, device: str = "cpu", shared: Shared | None = None, **options: Any
) -> tuple[Path, tuple[Stage, ...]]:
    """The folder of the model called `name`, and its stages, read by the format that it is in; `options` are further
    fields of `Parts`.

    Raises BadInput as `load` does; what is wrong with the rest before a model is fetched.
    """
    execute = engine_of(engine)
    dtype_of(precision)
    offload = check_offload(options.get("offload", "none"))
    device = check_device(device)
    execute.check(precision, device, offload)
    folder = find(name)
    with quiet_libraries():
        stages = format_of(folder).stages(Parts(folder, precision, device, shared=shared, **options), execute)
    main = main_of(stages)
    own = replace(stages[main], suits=own_suits(folder, stages[main].suits))
    return folder, (*stages[:main], own, *stages[main + 1 :])


def autoencoder_of(name: str) -> Path | None:
    """The folder of the autoencoder called `name`, one of its own or vae/ of a model, or its single file; None for "",
    the model's own."""
    if not name:
        return None
    place = path_of(name)
    if place.is_file() and place.suffix.lower() in ENDINGS:
        return place.resolve()
    for folder in (place, place / "vae", (here(name) or place) / "vae"):
        if (folder / "config.json").is_file() and not (folder / INDEX).is_file():
            return folder.resolve()
    raise BadInput(
        f"There is no autoencoder called {printable(repr(name), 100)}: give the path of a folder with a config.json, "
        "of a model that has a vae/, or of a file (.safetensors)."
    )


def place_of(name: str, part: str, model: str = "", kind: str = "") -> Path:
    """The folder of the network `part` called `name`, or its single file, as `network_of` finds it. Without a name it
    is in the model's folder, or built in for the model, as mini-controlnet for mini. A folder may have a network for
    each kind of map, in folders of their names, as mini-t2i-adapter/depth."""
    own = Path(name).expanduser()
    if part in CONTROLS and own.is_file():
        return own
    of_whole = [own / "unet"] if part == "controlnet" and (own / INDEX).is_file() else []  # Kandinsky's is a decoder
    places = [own, own / part, *of_whole, whole(place(name))] if name else _own(part, model)
    kinds = dict.fromkeys((kind, kind.partition("-")[0])) if kind else ()  # of softedge-classical: softedge
    for folder in [*places, *(each / name for each in places for name in kinds)]:
        if any((folder / file).is_file() for file in FILES):
            return folder
    if name.count("/") == 1 and not own.exists() and part in CONTROLS:
        return find(name)
    if name:
        file = ", or of a single file" if part in CONTROLS else ""
        raise BadInput(f"There is no {part} called {name!r}: give the path of a folder with a config.json{file}.")
    asks = "control, as net=FOLDER" if part in CONTROLS else "guidance"
    raise BadInput(f"The model {model} has no {part}/ of its own: name the folder of one in the {asks}.")


def _own(part: str, model: str) -> list[Path]:
    """Where a model's own network `part` may lie: in its folder; of a built-in one beside it."""
    beside = [whole(place(f"{model}-{part.replace('_', '-')}"))] if model in built_ins() else []
    return [find(model) / part, *beside]


def _classifier(folder: Path) -> Any:
    return _classifier_of(folder, (folder / "config.json").stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _classifier_of(folder: Path, stamp: int) -> Any:
    from sfumato.network.classifier import Classifier

    return Classifier.load(folder)


FILES = ("config.json", "image_encoder/config.json")  # by which a network's folder is known
CONTROLS = ("controlnet", "t2i_adapter", "ip_adapter")  # that may be Hub ids

READERS: dict[str, Callable[[Path], Any]] = {
    "classifier": _classifier,
    "clip": load_clip,
    "clip_noised": load_clip,
    "controlnet": read_controlnet,
    "t2i_adapter": read_t2i_adapter,
    "ip_adapter": read_ip_adapter,
}
