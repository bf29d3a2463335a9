"""How folders of models are written: JSON and weights, in the ecosystem's format."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

SHARD = "15MB"  # of one file of weights


def write_json(path: Path, value: Mapping[str, object]) -> None:
    """An object, indented by two, and its folder where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def save_network(network: Any, folder: Path, dtype: torch.dtype | None = None) -> None:
    """A diffusers network, in that number type or its own: config.json and safetensors."""
    stored = network if dtype is None else copy.deepcopy(network).to(dtype)
    stored.save_pretrained(folder, max_shard_size=SHARD)
