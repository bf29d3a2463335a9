"""From a name to a Pipe."""

from __future__ import annotations

from pathlib import Path

from sfumato.formats import FORMATS, Parts
from sfumato.model.pipe import Pipe
from sfumato.network.engine import engine as engine_of
from sfumato.picture import BadInput
from sfumato.zoo.find import find
from sfumato.zoo.folder import parts_of


def load(name: str | Path = "mini", *, engine: str = "eager", precision: str = "float32", device: str = "cpu") -> Pipe:
    """A `Pipe` of the model called `name`.

    name: a built-in miniature ("mini"), a folder in diffusers' format (see the table above), or a Hub id "owner/name",
    fetched once and cached.
    engine: "eager" or "exact" (see `sfumato.network`). precision: "float32" or "bfloat16" weights.

    Raises `BadInput`, in one sentence, when there is no such model or when its files can't be read.
    """
    folder = find(name)
    execute, parts = engine_of(engine), Parts(folder, precision, device)
    network = parts_of(folder).get("unet", "")
    if network not in FORMATS:
        raise BadInput(
            f"The network (unet) of the model in {folder} is {f'a {network}' if network else 'not named'} in "
            f"model_index.json; accepted are {' and '.join(FORMATS)}."
        )
    stage, size, multiple = FORMATS[network](parts, execute)
    return Pipe(str(name), (stage,), size, multiple, engine, precision)
