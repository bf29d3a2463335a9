"""How weights are written: safetensors, whole or not at all, readable by whom other new files are."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sfumato.picture.atomic import beside
from sfumato.picture.errors import BadInput, name_of, printable

if TYPE_CHECKING:
    from torch import Tensor


def save_tensors(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Writes a file of weights, which has its name when it is whole, and the mode that the user's umask says.

    (safetensors 0.8 gives all its files mode 0600, so that nobody else can load the model: its issue 782.) Raises
    BadInput where it can't be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    with beside(path) as part:
        part.touch()
        mode = part.stat().st_mode
        kept = {name: tensor.contiguous() for name, tensor in tensors.items()}
        try:
            save_file(kept, part, dict(metadata or {"format": "pt"}))
        except SafetensorError as error:
            raise BadInput(f"{name_of(path)} can't be written: {printable(str(error), 200)}") from None
        part.chmod(mode)


def as_its_config(folder: Path) -> None:
    """Gives the files of weights that another library has written there the mode of config.json."""
    for file in folder.glob("*.safetensors"):
        shutil.copymode(folder / "config.json", file)
