"""Which files of a model's folder hold its weights, and one hash of them all. No torch."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sfumato.formats.folder import parts_of
from sfumato.formats.single_file import single_of
from sfumato.picture import BadInput, home, write_atomically

_SHARD = re.compile(r"-\d{5}-of-\d{5}")
_NO_WEIGHTS = re.compile(r"openvino|training_args|optimizer|scheduler|random_states|scaler", re.IGNORECASE)
_BESIDE = ("label",)  # parts that no index names
_hashes: dict[str, list[Any]] = {}


def weight_files(part: Path) -> list[Path]:
    """The files of one part's weights, the pieces of a divided one all: of what stands there several times, as
    safetensors and as .bin, or in several variants (.fp16, .non_ema), the one that is loaded: the plain one and
    safetensors where there are such. A file is its own."""
    if part.is_file():
        return [part]
    for ending in (".safetensors", ".bin"):
        files = sorted(path for path in part.glob(f"*{ending}") if path.is_file() and not _NO_WEIGHTS.match(path.name))
        variants = sorted({_variant(path) for path in files})
        if variants:
            return [path for path in files if _variant(path) == variants[0]]
    return []


def _variant(path: Path) -> str:
    """`fp16` of model.fp16-00001-of-00002.safetensors; empty for the plain one, which sorts first."""
    return _SHARD.sub("", path.stem).partition(".")[2]


def weights_hash(folder: Path, vae: Path | None = None) -> str:
    """`sha256:` and the SHA-256 over the names and the SHA-256 of all weight files of a model's folder; empty if there
    are none.

    vae: the folder or file of the autoencoder in the place of the model's own. Hashed is a line `PART/FILE SHA256`
    for each file, sorted. A file is read once: its hash is kept in the folder for the user's data
    under the file's path, length and time of change.
    """
    if (single := single_of(folder)) is not None:
        lines = [f"{path.name} {_file_hash(path)}\n" for path in single.files()]
        lines += [] if vae is None else [f"vae/{path.name} {_file_hash(path)}\n" for path in weight_files(vae)]
        for part in sorted(each.name for each in folder.iterdir() if each.is_symlink()):  # of its base
            lines += [f"{part}/{path.name} {_file_hash(path)}\n" for path in weight_files(folder / part)]
        return f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"
    lines = []
    for part in sorted({*parts_of(folder), *_BESIDE}):
        place = vae if part == "vae" and vae is not None else folder / part
        lines += [f"{part}/{path.name} {_file_hash(path)}\n" for path in weight_files(place)]
    lines = lines or [f"{path.name} {_file_hash(path)}\n" for path in weight_files(folder)]
    return f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}" if lines else ""


def joined_hash(hashes: Sequence[str]) -> str:
    """The hash of a model that is joined of others; that of a single one is its own, "" of none."""
    if len(hashes) < 2:
        return "".join(hashes)
    return f"sha256:{hashlib.sha256(chr(10).join(hashes).encode()).hexdigest()}"


def _file_hash(path: Path) -> str:
    real = path.resolve()
    status = real.stat()
    key, stamp = str(real), [status.st_size, status.st_mtime_ns]
    if not _hashes:
        _hashes.update(_kept())
    if _hashes.get(key, [None])[:-1] == stamp:
        return str(_hashes[key][-1])
    with real.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    _hashes.update({**_kept(), **_hashes, key: [*stamp, found]})
    with contextlib.suppress(BadInput):  # then it is computed again next time
        write_atomically(_place(), json.dumps(_hashes).encode(), private=True)
    return found


def _place() -> Path:
    return home() / "weights.json"


def _kept() -> dict[str, list[Any]]:
    """What was computed before; nothing, if it can't be read."""
    try:
        found = json.loads(_place().read_bytes())
        return {
            key: value for key, value in found.items() if len(value) == 3 and re.fullmatch("[0-9a-f]{64}", value[2])
        }
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}
