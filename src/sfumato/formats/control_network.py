"""Networks that obey controls, from their folders: ControlNets and T2I-Adapters. (`ip_adapter` reads image prompts.)"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from sfumato.formats.config import check_fields, check_sizes
from sfumato.formats.folder import read_json
from sfumato.network.control_networks import KINDS
from sfumato.network.reading import check_weights, hushed, reason, variant_of
from sfumato.picture.errors import BadInput, name_of, printable

if TYPE_CHECKING:
    from torch import nn

STEM = "diffusion_pytorch_model"


def read_controlnet(folder: Path) -> nn.Module:
    """The ControlNet in a folder of diffusers' format; BadInput for any other network."""
    return _read(folder, tuple(KINDS), (folder / "config.json").stat().st_mtime_ns)


def read_t2i_adapter(folder: Path) -> nn.Module:
    """The T2I-Adapter in a folder of diffusers' format; BadInput for any other network."""
    return _read(folder, ("T2IAdapter",), (folder / "config.json").stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _read(folder: Path, kinds: tuple[str, ...], stamp: int) -> nn.Module:
    what = f"{kinds[0]} in {name_of(folder)}"
    config = read_json(folder / "config.json")
    kind = printable(config.get("_class_name"), 60)
    if kind not in kinds:
        raise BadInput(f"{name_of(folder)} holds a {kind}; accepted here is {' or '.join(kinds)}.")
    check_sizes(config, what)
    made = _class_of(kind)
    check_fields(made, config, what, {})
    variant = variant_of(folder, STEM, what)
    try:
        with hushed():
            network, info = made.from_pretrained(
                folder,
                local_files_only=True,
                variant=variant,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                torch_dtype=torch.float32,
            )
    except Exception as error:
        raise BadInput(f"The {what} can't be read: {reason(error)}") from error
    check_weights(info, what)
    return network.eval().requires_grad_(False)


def _class_of(kind: str) -> Any:
    """A class of diffusers', or one of ours where it has none."""
    import diffusers

    if hasattr(diffusers, kind):
        return getattr(diffusers, kind)
    return getattr(import_module(f"sfumato.network.{KINDS[kind]}"), kind)
