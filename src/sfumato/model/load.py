"""From a name to a Pipe."""

from __future__ import annotations

import copyreg
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from sfumato.model.chain import painted_size
from sfumato.model.engines import engine_for
from sfumato.model.networks import autoencoder_of, read_stages
from sfumato.model.pipe import Pipe
from sfumato.model.pool import Pool
from sfumato.network.device import check_device
from sfumato.network.precision import suits
from sfumato.picture import BadInput
from sfumato.stage import Stage
from sfumato.zoo.find import PATHS, allow_pickles, file_of, joined, parted, with_transformer

if TYPE_CHECKING:
    from sfumato.formats.parts import Shared
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
    transformer: str | Path = "",
    pool: Pool | None = None,
    allow_pickle: bool = False,
    recipe: Recipe | None = None,
) -> Pipe:
    """A `Pipe` of the model called `name`.

    name: a built-in miniature ("mini"), a folder in diffusers' format (see `sfumato.formats`), a single file
    ("model.safetensors", see `sfumato.formats.single_folder`), or a Hub id "owner/name", fetched once and cached.
    Models that go on with what others made are joined by " + ": "prior + decoder", "IF-I + IF-II + upscaler". Parts
    that a family can do without are left out by "NAME?without=PART": Stable Diffusion 3's T5 is text_encoder_3.
    engine: "eager", "exact", "openvino" or "compiled" (see `sfumato.network.engine`); "auto" is the quickest that is
    here and answers as they all do, for `recipe` where that is given. device: as torch calls it, "cpu", "cuda" or
    "mps"; "auto" is the quickest that is here. precision: how weights are stored, "float32", "bfloat16", "float16" or
    "float8", which is computed in bfloat16; "auto" is float32 on a CPU and what suits the device elsewhere. offload:
    "none", or "parts" or "layers" to have only the network or the layer that is called on the device
    (`sfumato.network.offload`). tile: the side in pixels of the tiles in which the autoencoder works, 0 for the picture
    as a whole. vae: the folder or file of another autoencoder. transformer: a single file that stands in the place of
    the model's own transformer, as "flux1-dev-Q4_K.gguf": the same as `load("FILE?base=MODEL")`. pool: models that are
    held; without one the model is read anew, and nobody else has its networks. allow_pickle: read single files that are
    pickles (.ckpt), of which tensors alone are taken.

    A pipe and its recipes say what "auto" came to, of the engine too.

    Raises `BadInput`, in one sentence, when there is no such model or device, when the model's files can't be read, and
    for a model of a family that is not run.
    """
    if allow_pickle:
        allow_pickles()
    name = with_transformer(name, transformer) if transformer else name
    device = check_device(device)
    precision = suits(device) if precision == "auto" else precision
    if engine == "auto":
        engine = engine_for(precision, device, offload, recipe)
    other = autoencoder_of(str(vae))
    options = {"offload": offload, "tile": checked_tile(tile), "vae": other}
    shared: Shared = {}  # by the models that are joined: both stages of DeepFloyd IF have the same T5
    read = partial(read_stages, shared=shared) if pool is None else pool.stages
    found = [(each, *read(each, engine, precision, device, **options)) for each in joined(name)]
    for (before, *_), (after, _, several) in pairwise(found):
        if not any(encoder.follows for encoder in several[0].encoders):
            raise BadInput(
                f"{after} does not go on with what {before} makes: it looks at nothing of a stage before it. Run each "
                "for itself, or join one that does."
            )
    stages = _seeing(_told_apart([stage for _, _, several in found for stage in several]))
    if not any(stage.paints for stage in stages):
        raise BadInput(
            f"The model {name} paints no pictures: join the one that goes on, as {str(name) + ' + DECODER'!r}."
        )
    if other is not None and not any("vae" in stage.networks for stage in stages):
        raise BadInput(f"The model {name} has no autoencoder, so it takes no other: leave vae out.")
    autoencoder = "" if other is None else str(other)
    whole = " + ".join(_name(each, folder) for each, folder, _ in found)
    folders = tuple(folder for _, folder, _ in found)
    return Pipe(
        *(whole, stages, *painted_size(stages), engine, precision, folders),
        vae=autoencoder,
        tile=tile,
        offload=offload,
    )


def _told_apart(stages: list[Stage]) -> tuple[Stage, ...]:
    """The stages, those of one name numbered: "upscale", "upscale 2"."""
    names = [stage.name for stage in stages]
    counts = [names[: n + 1].count(name) for n, name in enumerate(names)]
    return tuple(
        stage if count == 1 else replace(stage, name=f"{stage.name} {count}")
        for stage, count in zip(stages, counts, strict=True)
    )


def _seeing(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    """The stages, each with the eye of one before it where that has one."""
    eyes = [stage.eye for stage in stages if stage.eye is not None]
    return tuple(stage.seeing(eyes[0]) for stage in stages) if eyes else stages


def checked_tile(tile: int) -> int:
    """The side of a tile. Raises BadInput for one that is none."""
    if tile and (not 64 <= tile <= 4096 or tile % 64):
        raise BadInput(f"A tile of {tile} pixels is none: give a multiple of 64 from 64 to 4096, or 0 for no tiles.")
    return tile


def _name(name: str | Path, folder: Path) -> str:
    """What a recipe calls the model, wherever it is read: a folder by its whole path."""
    if (file := file_of(name)) is not None:
        path, options = file
        whole = {key: ",".join(map(_whole, value.split(","))) for key, value in options.items() if key in PATHS}
        said = "&".join(f"{key}={value}" for key, value in {**options, **whole}.items())
        return f"{path.resolve()}{'?' if said else ''}{said}"
    model, parts = parted(name)
    if parts:
        return f"{_name(model, Path(model).expanduser())}?without={','.join(parts)}"
    return str(folder.resolve()) if Path(name).expanduser().is_dir() else str(name)


def _whole(value: str) -> str:
    """What is said of a file: a path as a whole one."""
    path = Path(value).expanduser()
    return str(path.resolve()) if value and path.exists() else value


def _again(name: str, options: dict[str, str]) -> Pipe:
    return load(name, **options)  # pyright: ignore[reportArgumentType]


def _by_name(pipe: Pipe) -> tuple:
    if not pipe.folders:
        raise BadInput(f"The pipe {pipe.name!r} was read from no folder, so it can't be pickled by its name.")
    options = {name: getattr(pipe, name) for name in ("engine", "precision", "offload", "tile", "vae")}
    return _again, (pipe.name, options | {"device": pipe.stage.device})


copyreg.pickle(Pipe, _by_name)  # another process reads the model again
