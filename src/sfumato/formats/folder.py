"""What a model's folder says about the model, in diffusers' format. Only JSON is read: no weights, no torch."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path
from typing import Any

from sfumato.picture.errors import BadInput, name_of, printable
from sfumato.zoo import INDEX

LARGEST = 16 << 20  # bytes of JSON
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file of a model's folder; `BadInput` if it is missing or none."""
    try:
        regular(path)
        if path.stat().st_size > LARGEST:
            raise ValueError(f"it is larger than {LARGEST >> 20} MiB")
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("no object")
        return found
    except (OSError, ValueError, RecursionError) as error:
        reason = printable(error, 100)
        raise BadInput(
            f"{name_of(path)} can't be read as JSON ({reason}): the model's folder is damaged or incomplete."
        ) from None


def regular(path: Path) -> None:
    """Raises BadInput for what is there and is neither a file nor a folder: a pipe would be waited for, for ever."""
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise BadInput(f"{name_of(path)} is neither a file nor a folder: a model's folder holds nothing else.")


def index_of(folder: Path) -> dict[str, Any]:
    """model_index.json. Raises BadInput where it names a part that is not in the folder itself."""
    found = read_json(folder / INDEX)
    for name, value in found.items():
        if isinstance(value, list) and not _NAME.fullmatch(name):
            raise BadInput(
                f"{name_of(folder / INDEX)} names a part {printable(repr(name), 60)}: the name of a part is that of a "
                "folder beside it."
            )
    return found


def parts_of(folder: Path) -> dict[str, str]:
    """The parts that the index of a folder names, and their classes, as {"unet": "UNet2DModel", ...}."""
    return {
        name: printable(value[1], 100)
        for name, value in index_of(folder).items()
        if isinstance(value, list) and len(value) == 2 and value[1] is not None
    }


def place_of(folder: Path, part: str) -> Path:
    """Where a part lies: in a folder of its name, or, as in the first DDPM repositories, beside the index."""
    own, file = folder / part, "scheduler_config.json" if part == "scheduler" else "config.json"
    return folder if not own.is_dir() and (folder / file).is_file() else own


def config_of(folder: Path, part: str) -> dict[str, Any]:
    """The config of a part that is a network."""
    return read_json(place_of(folder, part) / "config.json")


def scheduler_of(folder: Path) -> dict[str, Any]:
    """scheduler_config.json."""
    return read_json(place_of(folder, "scheduler") / "scheduler_config.json")
