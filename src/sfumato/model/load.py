"""From a name to a Pipe."""

from __future__ import annotations

import copyreg
from pathlib import Path
from typing import TYPE_CHECKING

from sfumato.model.engines import engine_for
from sfumato.model.networks import autoencoder_of, read_stage
from sfumato.model.pipe import Pipe
from sfumato.model.pool import Pool
from sfumato.network.device import check_device
from sfumato.network.precision import suits
from sfumato.picture import BadInput
from sfumato.zoo.find import allow_pickles, file_of

if TYPE_CHECKING:
    from sfumato.recipe import Recipe


def load(
    name: str | Path = "mini",
    *,
    engine: str = "eager",
    precision: str = "auto",
    device: str = "auto",
    offload: str = "none",
    tile: int = 0,
    vae: str | Path = "",
    pool: Pool | None = None,
    allow_pickle: bool = False,
    recipe: Recipe | None = None,
) -> Pipe:
    """A `Pipe` of the model called `name`.

    name: a built-in miniature ("mini"), a folder in diffusers' format (see `sfumato.formats`), a single file
    ("model.safetensors", see `sfumato.formats.single_file`), or a Hub id "owner/name", fetched once and cached.
    engine: "eager", "exact", "openvino" or "compiled" (see `sfumato.network.engine`); "auto" is the quickest that is
    here and answers as they all do, for `recipe` where that is given. device: as torch calls it, "cpu", "cuda" or
    "mps"; "auto" is the quickest that is here. precision: how weights are stored, "float32", "bfloat16", "float16" or
    "float8", which is computed in bfloat16; "auto" is float32 on a CPU and what suits the device elsewhere. offload:
    "none", or "parts" or "layers" to have only the network or the layer that is called on the device
    (`sfumato.network.offload`). tile: the side in pixels of the tiles in which the autoencoder works, 0 for the picture
    as a whole. vae: the folder of another autoencoder than the model's own. pool: models that are held; without one the
    model is read anew, and nobody else has its networks. allow_pickle: read single files that are pickles (.ckpt), of
    which tensors alone are taken.

    A pipe and its recipes say what "auto" came to, of the engine too.

    Raises `BadInput`, in one sentence, when there is no such model or device, when the model's files can't be read, and
    for a model of a family that is not run.
    """
    if allow_pickle:
        allow_pickles()
    device = check_device(device)
    precision = suits(device) if precision == "auto" else precision
    if engine == "auto":
        engine = engine_for(precision, device, offload, recipe)
    other = autoencoder_of(str(vae))
    options = {"offload": offload, "tile": checked_tile(tile), "vae": other}
    read = read_stage if pool is None else pool.stage
    folder, stage = read(name, engine, precision, device, **options)
    if other is not None and "vae" not in stage.networks:
        raise BadInput(f"The model {name} has no autoencoder, so it takes no other: leave vae out.")
    autoencoder = "" if other is None else str(other)
    return Pipe(
        *(_name(name, folder), (stage,), stage.size, stage.multiple, engine, precision, folder),
        vae=autoencoder,
        tile=tile,
        offload=offload,
    )


def checked_tile(tile: int) -> int:
    """The side of a tile. Raises BadInput for one that is none."""
    if tile and (not 64 <= tile <= 4096 or tile % 64):
        raise BadInput(f"A tile of {tile} pixels is none: give a multiple of 64 from 64 to 4096, or 0 for no tiles.")
    return tile


def _name(name: str | Path, folder: Path) -> str:
    """What a recipe calls the model, wherever it is read: a folder by its whole path."""
    if (file := file_of(name)) is not None:
        options = str(name).partition("?")[2]
        return f"{file[0].resolve()}{'?' if options else ''}{options}"
    return str(folder.resolve()) if Path(name).expanduser().is_dir() else str(name)


def _again(name: str, options: dict[str, str]) -> Pipe:
    return load(name, **options)  # pyright: ignore[reportArgumentType]


def _by_name(pipe: Pipe) -> tuple:
    if pipe.folder is None:
        raise BadInput(f"The pipe {pipe.name!r} was read from no folder, so it can't be pickled by its name.")
    options = {name: getattr(pipe, name) for name in ("engine", "precision", "offload", "tile", "vae")}
    return _again, (pipe.name, options | {"device": pipe.stages[0].device})


copyreg.pickle(Pipe, _by_name)  # another process reads the model again
