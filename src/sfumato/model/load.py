"""From a name to a Pipe."""

from __future__ import annotations

import copyreg
from pathlib import Path

from sfumato.model.networks import read_stage
from sfumato.model.pipe import Pipe
from sfumato.picture import BadInput
from sfumato.zoo.find import allow_pickles, file_of


def load(
    name: str | Path = "mini",
    *,
    engine: str = "eager",
    precision: str = "float32",
    device: str = "cpu",
    allow_pickle: bool = False,
) -> Pipe:
    """A `Pipe` of the model called `name`.

    name: a built-in miniature ("mini"), a folder in diffusers' format (see `sfumato.formats`), a single file
    ("model.safetensors", see `sfumato.formats.single_file`), or a Hub id "owner/name", fetched once and cached.
    engine: "eager" or "exact" (see `sfumato.network.engine`). precision: "float32" or "bfloat16" weights. device: as
    torch calls it, "cpu" or "cuda". allow_pickle: read single files that are pickles (.ckpt), of which tensors alone
    are taken.

    Raises `BadInput`, in one sentence, when there is no such model or device, when the model's files can't be read, and
    for a model of a family that is not run.
    """
    if allow_pickle:
        allow_pickles()
    folder, stage = read_stage(name, engine, precision, device)
    return Pipe(_name(name, folder), (stage,), stage.size, stage.multiple, engine, precision, folder)


def _name(name: str | Path, folder: Path) -> str:
    """What a recipe calls the model, wherever it is read: a folder by its whole path."""
    if (file := file_of(name)) is not None:
        options = str(name).partition("?")[2]
        return f"{file[0].resolve()}{'?' if options else ''}{options}"
    return str(folder.resolve()) if Path(name).expanduser().is_dir() else str(name)


def _again(name: str, engine: str, precision: str, device: str) -> Pipe:
    return load(name, engine=engine, precision=precision, device=device)


def _by_name(pipe: Pipe) -> tuple:
    if pipe.folder is None:
        raise BadInput(f"The pipe {pipe.name!r} was read from no folder, so it can't be pickled by its name.")
    return _again, (pipe.name, pipe.engine, pipe.precision, pipe.stages[0].device)


copyreg.pickle(Pipe, _by_name)  # another process reads the model again
