"""How weights are written: safetensors, whole or not at all, readable by whom other new files are."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def save_tensors(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Writes a file of weights, which has its name when it is whole, and the mode that the user's umask says.

    (safetensors 0.8 gives all its files mode 0600, so that nobody else can load the model: its issue 782.)
    """
    from safetensors.torch import save_file

    partly = path.with_name(f".{path.name}.partly")
    partly.parent.mkdir(parents=True, exist_ok=True)
    try:
        partly.touch()
        mode = partly.stat().st_mode
        save_file(
            {name: tensor.contiguous() for name, tensor in tensors.items()}, partly, dict(metadata or {"format": "pt"})
        )
        partly.chmod(mode)
        os.replace(partly, path)
    finally:
        partly.unlink(missing_ok=True)


def as_its_config(folder: Path) -> None:
    """Gives the files of weights that another library has written there the mode of config.json."""
    for file in folder.glob("*.safetensors"):
        shutil.copymode(folder / "config.json", file)
