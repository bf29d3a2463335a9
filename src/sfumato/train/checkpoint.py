"""Checkpoints that are written whole or not at all.

A checkpoint is a folder `step-00001000` of safetensors and `torch.save` files with `manifest.json`, the SHA-256 of
each. It is made under a temporary name: files, then the manifest, fsync of each and of the folder, rename, fsync of
the parent; only then are old ones pruned. Whatever kills the process, the newest valid checkpoint is one that was
complete; the loader checks the manifest and walks back past anything damaged.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

MANIFEST = "manifest.json"


@dataclass
class State:
    """What a run is made of at one step; everything else follows from (recipe, step)."""

    step: int
    network: dict[str, Tensor]
    ema: dict[str, Tensor]
    optimizer: dict[str, Any]
    info: dict[str, Any] = field(default_factory=dict)
    memory: dict[str, Tensor] = field(default_factory=dict)


class CheckpointError(OSError):
    """A checkpoint couldn't be written; the previous ones are as they were."""


def write(folder: Path, state: State, keep: int, name: str | None = None) -> Path:
    """Write `state` as a new checkpoint in `folder`, then prune all but the newest `keep`.

    Raises CheckpointError (a full disk, a folder that can't be written) with one sentence; nothing half-written stays.
    """
    name = name or f"step-{state.step:08d}"
    temporary, final = folder / f".writing-{name}-{os.getpid()}", folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(".writing-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        temporary.mkdir()
        for file, tensors in {"network": state.network, "ema": state.ema, "memory": state.memory}.items():
            whole = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
            save_file(whole, temporary / f"{file}.safetensors")
        torch.save(state.optimizer, temporary / "optimizer.pt")
        (temporary / "info.json").write_text(json.dumps({"step": state.step, **state.info}, indent=1))
        manifest = {path.name: _sha256(path) for path in sorted(temporary.iterdir())}
        (temporary / MANIFEST).write_text(json.dumps(manifest, indent=1))
        for path in temporary.iterdir():
            _fsync(path)
        _fsync(temporary)
        if final.exists():
            shutil.rmtree(final)
        temporary.rename(final)
        _fsync(folder)
    except Exception as error:  # safetensors and torch raise their own types when the disk is full
        shutil.rmtree(temporary, ignore_errors=True)
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).splitlines()[0]
        raise CheckpointError(
            f"the checkpoint {final} couldn't be written ({reason}); earlier ones are intact"
        ) from error
    for old in [path for path in steps(folder) if path != final][: -(keep - 1) or None]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def steps(folder: Path) -> list[Path]:
    """The checkpoints of a run, oldest first, valid or not."""
    return sorted(folder.glob("step-*")) if folder.is_dir() else []


def valid(path: Path) -> bool:
    """Whether every file that the manifest names is there and unchanged."""
    try:
        manifest = json.loads((path / MANIFEST).read_text())
        return bool(manifest) and all(_sha256(path / name) == digest for name, digest in manifest.items())
    except (OSError, ValueError):
        return False


def newest(folder: Path) -> Path | None:
    """The newest checkpoint that is whole."""
    return next((path for path in reversed(steps(folder)) if valid(path)), None)


def read(path: Path) -> State:
    info = json.loads((path / "info.json").read_text())
    memory = path / "memory.safetensors"
    return State(
        info.pop("step"),
        load_file(path / "network.safetensors"),
        load_file(path / "ema.safetensors"),
        torch.load(path / "optimizer.pt", weights_only=True, map_location="cpu"),
        info,
        load_file(memory) if memory.is_file() else {},
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
