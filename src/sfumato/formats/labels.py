"""The classes of a model that is told one, by label/ in its folder:

    label/config.json          {"kind": "sfumato-labels", "how": "time", "channels" or "token", "classes": [K names],
                                "null": K, "width": w}
    label/model.safetensors    all but "time": "embedding.weight" (K + 1, w), row K being the null

"time": the network has num_class_embeds = K + 1. "channels": it has w more input channels, the planes of
embedding[y]. "token": embedding[y] is the one token that it attends to.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfumato.formats.folder import config_of, read_json
from sfumato.formats.write import write_json
from sfumato.network.writing import save_tensors
from sfumato.picture.errors import BadInput, name_of, printable
from sfumato.recipe.capabilities import Capabilities

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from sfumato.formats.parts import Parts

CLASSES = 100_000  # at most


def told_labels(folder: Path) -> Capabilities:
    """The classes of the model in a folder: by the names in label/config.json; without that file by their indices,
    where its U-Net embeds classes. Raises BadInput for a file that holds no such list."""
    label = folder / "label" / "config.json"
    if not label.is_file():
        count = config_of(folder, "unet").get("num_class_embeds") or 0
        if not isinstance(count, int) or not 0 <= count <= CLASSES:
            raise BadInput(f"The unet in {name_of(folder)} embeds {printable(count, 60)} classes: 0 to {CLASSES:,}.")
        return Capabilities(classes=tuple(map(str, range(count))))
    found = read_json(label)
    names, none = found.get("classes"), found.get("null")
    if not isinstance(names, list) or not 0 < len(names) <= CLASSES or none not in (None, len(names)):
        raise BadInput(f"{name_of(label)} holds no list of classes followed by their null: write the folder again.")
    return Capabilities(classes=tuple(printable(name, 200) for name in names), none=none)


def embedded(told: Capabilities) -> int:
    """How many embeddings the classes have, with that of none."""
    return len(told.classes) + (told.none is not None)


def check_rows(parts: Parts, rows: int, told: Capabilities) -> None:
    """Raises BadInput where a network embeds other classes than are named."""
    if rows != (wanted := embedded(told)):
        raise BadInput(f"The network in {parts.folder} embeds {rows} classes, and label/config.json names {wanted}.")


def label_embedding(parts: Parts, told: Capabilities, how: str) -> Tensor | None:
    """The embeddings (K + 1, w) of classes that are told by `how`; None of those that are told otherwise."""
    label = parts.folder / "label"
    if not told.classes or not label.is_dir() or read_json(label / "config.json").get("how") != how:
        return None
    import torch
    from safetensors.torch import load_file

    with parts.explained("label"):
        found = load_file(label / "model.safetensors")
    if set(found) != {"embedding.weight"} or found["embedding.weight"].ndim != 2:
        raise BadInput(f"The label of {parts.model} holds no embedding.weight (K + 1, w), or something besides.")
    return found["embedding.weight"].to(parts.device, torch.float32)


def write_labels(
    folder: Path, classes: Sequence[str], how: str, embedding: Tensor | None = None, dtype: torch.dtype | None = None
) -> None:
    """Writes the label/ that these functions read. embedding: (K + 1, w) of what `how` says."""
    width: Any = None if embedding is None else embedding.shape[1]
    label = {"kind": "sfumato-labels", "how": how, "classes": list(classes), "null": len(classes), "width": width}
    write_json(folder / "label" / "config.json", label)
    if embedding is not None:
        save_tensors({"embedding.weight": embedding.detach().to(dtype)}, folder / "label" / "model.safetensors")
