"""How folders of models are written: JSON, weights and tokenizers, in the ecosystem's format."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfumato.formats.scheduler_config import PARAMETERIZATIONS
from sfumato.network.writing import as_its_config, save_tensors
from sfumato.progress import say

if TYPE_CHECKING:
    import torch

SHARD = "15MB"  # of one file of weights


def write_json(path: Path, value: Mapping[str, object]) -> None:
    """An object, indented by two, and its folder where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def write_scheduler(folder: Path, config: Mapping[str, object]) -> None:
    """scheduler_config.json; says so where stock diffusers can't sample by it."""
    if PARAMETERIZATIONS.get(str(config.get("prediction_type"))) == "mu":
        say("stock diffusers has no name for the parameterization mu: its samplers refuse this folder, ours don't")
    write_json(folder / "scheduler_config.json", config)


def save_network(network: Any, folder: Path, dtype: torch.dtype | None = None) -> None:
    """A network of diffusers or transformers, in that number type or its own: config.json and safetensors."""
    stored = network if dtype is None else copy.deepcopy(network).to(dtype)
    stored.save_pretrained(folder, max_shard_size=SHARD)
    as_its_config(folder)


def copy_part(folder: Path, target: Path, dtype: torch.dtype | None = None) -> None:
    """The folder of a part, as it is; where `dtype` takes 16 bits, its weights of 32 are written in float16, which
    keeps more digits of them than bfloat16 does."""
    import torch
    from safetensors.torch import load_file

    shutil.copytree(folder, target, dirs_exist_ok=True)
    if dtype is None or dtype.itemsize > 2:
        return
    for file in target.glob("*.safetensors"):
        state = load_file(file)
        if any(tensor.dtype == torch.float32 for tensor in state.values()):
            halved = {key: value.half() if value.dtype == torch.float32 else value for key, value in state.items()}
            save_tensors(halved, file)


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """tokenizer.json as new readers want it, vocab.json and merges.txt as older ones do."""
    tokenizer.save_pretrained(folder)
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False), encoding="utf-8")
    merges = [" ".join(pair) if not isinstance(pair, str) else pair for pair in model["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n", encoding="utf-8")
