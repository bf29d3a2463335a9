"""A file of an adapter in another tool's format."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sfumato.adapt import AdapterFile
from sfumato.adapt.adapter_formats import ADAPTER_FORMATS, converted
from sfumato.adapt.file import check_new
from sfumato.adapt.origin import of_file
from sfumato.adapt.read import contents, with_config
from sfumato.adapt.recognise import kind_of
from sfumato.adapt.write import save
from sfumato.formats.architectures import built_in_with, empty_family, empty_networks
from sfumato.picture.errors import BadInput, printable

if TYPE_CHECKING:
    from torch import Tensor, nn


def convert_adapter(file: AdapterFile, target: Path, to: str, model: str | Path | None = None) -> Path:
    """Writes the adapter of a file (`open_file`) as a file of the format `to` ("diffusers", "kohya", "lycoris"): the
    same changes of weights, see `sfumato.adapt.adapter_formats`.

    model: the one that it was made for; by default a family that its keys and shapes tell. Raises BadInput for a target
    that is there, for what is no adapter of weights, where the family can't be told, and for what the format can't
    hold.
    """
    ADAPTER_FORMATS[to]  # refuses by name
    check_new(target)
    name, found = printable(file.name, 60), with_config(contents(file), file)
    kind = kind_of(found)
    if kind != "lora":
        what = f"an adapter of the kind {kind}, of which there is one format" if kind else "no adapter"
        raise BadInput(f"{name} is {what}: give a file of changes of weights, as of a LoRA.")
    networks = empty_networks(model) if model else _networks(found.tensors, name)
    try:
        made = converted(found, networks, to, name)
    except BadInput as error:
        if model or "fit" not in str(error):
            raise
        raise BadInput(
            f"{str(error).rstrip('.')} (taken for {of_file(found.tensors)}): name its model with --model."
        ) from None
    target.parent.mkdir(parents=True, exist_ok=True)
    save(target, made.tensors, made.header)
    return target


def _networks(tensors: Mapping[str, Tensor], name: str) -> dict[str, nn.Module]:
    """Those of the family that the tensors are for."""
    title = of_file(tensors)
    width = re.search(r"told texts (\d+) wide", title)
    if width and (model := built_in_with(int(width[1]))):
        return empty_networks(model)
    if found := empty_family(title):
        return found
    what = title or "layers that many models have"
    raise BadInput(f"{name} is for {what}: name the model that it was made for with --model.")
