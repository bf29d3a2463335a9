"""The tensors in a file of an adapter, and its header."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from sfumato.adapt.file import SAFE, AdapterFile, check_pickle
from sfumato.lazy import torch
from sfumato.picture.errors import BadInput, printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


class Contents(NamedTuple):
    """A file's tensors by their keys, the texts of its header, and in a pickle what else there is."""

    tensors: Mapping[str, Tensor]
    header: Mapping[str, str]
    other: Any = None


PEFTS = "adapter_config.json"
"""Where peft says rank and alpha of the file adapter_model.safetensors beside it."""


def with_config(found: Contents, file: AdapterFile) -> Contents:
    """The contents of a file, and what peft's config beside it says, under its name in the header."""
    path = file.path
    if path.name != "adapter_model.safetensors" or not (config := path.with_name(PEFTS)).is_file():
        return found
    try:
        return found._replace(header={**found.header, PEFTS: config.read_text(encoding="utf-8")})
    except (OSError, ValueError) as error:
        raise BadInput(f"{PEFTS} beside {path.name} can't be read ({printable(error, 100)}).") from None


@lru_cache(maxsize=4)
def contents(file: AdapterFile) -> Contents:
    """What is in the file. Raises BadInput if it is not here, a pickle that nobody allowed, or damaged."""
    check_pickle(file)
    path = file.path
    try:
        if path.suffix.lower() == SAFE:
            from safetensors import safe_open

            with safe_open(path, "pt") as opened:
                tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
                header = opened.metadata() or {}  # in an order that is drawn anew at each opening
                return Contents(tensors, dict(sorted(header.items())))
        with torch.serialization.safe_globals([torch.nn.ParameterDict]):  # as older embeddings have it
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a stranger's file
        raise BadInput(
            f"{printable(file.name, 60)} can't be read ({printable(error, 120)}): copy or download it again."
        ) from None
    found = found.get("state_dict", found) if isinstance(found, dict) else {}
    tensors = {str(key): value for key, value in found.items() if isinstance(value, torch.Tensor)}
    return Contents(tensors, {}, found)
