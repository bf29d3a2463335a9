"""Checkpoints that are written whole or not at all.

A checkpoint is a folder `step-00001000` of safetensors and `torch.save` files with `manifest.json`, the SHA-256 of
each. It is made under a temporary name: files, then the manifest, fsync of each and of the folder, rename, fsync of
the parent; only then are old ones pruned. Whatever kills the process, the newest valid checkpoint is one that was
complete; the loader checks the manifest and walks back past anything damaged, which it says.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor

from sfumato.network.writing import save_tensors
from sfumato.picture import BadInput
from sfumato.progress import say

T = TypeVar("T")
MANIFEST = "manifest.json"
FILES = {"network.safetensors", "ema.safetensors", "optimizer.pt", "info.json"}


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
            whole = {k: v.detach().cpu() for k, v in tensors.items()}
            save_tensors(whole, temporary / f"{file}.safetensors")
        torch.save(state.optimizer, temporary / "optimizer.pt")
        (temporary / "info.json").write_text(json.dumps({"step": state.step, **state.info}, indent=1), "utf-8")
        manifest = {path.name: _sha256(path) for path in sorted(temporary.iterdir())}
        (temporary / MANIFEST).write_text(json.dumps(manifest, indent=1), "utf-8")
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
    others = [path for path in steps(folder) if path != final]
    newer = [path for path in others if path.name > final.name]  # damaged: the run went back past them
    for old in [*newer, *[path for path in others if path not in newer][: -(keep - 1) or None]]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def steps(folder: Path) -> list[Path]:
    """The checkpoints of a run, oldest first, valid or not."""
    return sorted(folder.glob("step-*")) if folder.is_dir() else []


def valid(path: Path) -> bool:
    """Whether every file that the manifest names is there and unchanged."""
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        return manifest.keys() >= FILES and all(_sha256(path / name) == digest for name, digest in manifest.items())
    except (OSError, ValueError, AttributeError, RecursionError):
        return False


def newest(folder: Path) -> Path | None:
    """The newest checkpoint that is whole; says which newer ones are damaged.

    None where there are none. Raises BadInput where all of them are damaged: a run never begins anew without a word.
    """
    damaged: list[str] = []
    for path in reversed(steps(folder)):
        if valid(path):
            if damaged and os.environ.get("RANK", "0") == "0":
                say(f"{folder}: {', '.join(damaged)} damaged: going back to {path.name}")
            return path
        damaged.append(path.name)
    if damaged:
        raise BadInput(
            f"all checkpoints in {folder} are damaged ({', '.join(damaged)}), so this run can't go on: "
            "remove them to begin anew, or put copies of them back"
        )
    return None


def info(path: Path) -> dict[str, Any]:
    """What a checkpoint says of itself: the step, the recipe, the surroundings."""
    return json.loads((path / "info.json").read_text(encoding="utf-8"))


def read(path: Path) -> State:
    said = info(path)
    memory = path / "memory.safetensors"
    return State(
        said.pop("step"),
        load_file(path / "network.safetensors"),
        load_file(path / "ema.safetensors"),
        torch.load(path / "optimizer.pt", weights_only=True, map_location="cpu"),
        said,
        load_file(memory) if memory.is_file() else {},
    )


def export(folder: Path, make: Callable[[Path], T]) -> T:
    """What `make` writes into an empty folder, moved into `folder` when it is whole and on the disk.

    What stood there under the same names is replaced by a rename each, so that no file is ever half of two.
    """
    temporary, old = folder.with_name(f".{folder.name}.part"), folder.with_name(f".{folder.name}.old")
    for leftover in (temporary, old):
        shutil.rmtree(leftover, ignore_errors=True)
    temporary.mkdir(parents=True)
    answer = make(temporary)
    for path in [*temporary.rglob("*"), temporary]:
        _fsync(path)
    folder.mkdir(exist_ok=True)
    old.mkdir()
    for path in sorted(temporary.iterdir()):
        if (folder / path.name).exists():
            (folder / path.name).rename(old / path.name)
        path.rename(folder / path.name)
    _fsync(folder)
    shutil.rmtree(old, ignore_errors=True)
    temporary.rmdir()
    return answer


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
