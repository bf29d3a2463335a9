"""From a name to a Pipe: one file a format, chosen by the class of the network.

| network | format | file |
|---|---|---|
| `UNet2DConditionModel` | Stable Diffusion 1 and 2: words; latents, or pixels in patches | `stable_diffusion` |
| `UNet2DModel` | DDPM: pixels, unconditional or conditioned on a class | `pixels` |
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sfumato.engine import Engine
from sfumato.engine import engine as engine_of
from sfumato.model.load.parts import PARAMETERIZATIONS, Parts, noise_schedule
from sfumato.model.load.pixels import pixels
from sfumato.model.load.stable_diffusion import stable_diffusion
from sfumato.model.pipe import Pipe, Stage
from sfumato.picture import BadInput
from sfumato.zoo.find import find
from sfumato.zoo.folder import parts_of

__all__ = ["FORMATS", "PARAMETERIZATIONS", "find", "load", "noise_schedule"]

Format = Callable[[Parts, Engine], tuple[Stage, tuple[int, int], int]]
"""The stage of a model, the (width, height) that it was trained at, and what each side must be a multiple of."""

FORMATS: dict[str, Format] = {
    "UNet2DConditionModel": stable_diffusion,
    "UNet2DModel": pixels,
}


def load(name: str | Path = "mini", *, engine: str = "eager", precision: str = "float32", device: str = "cpu") -> Pipe:
    """A `Pipe` of the model called `name`.

    name: a built-in miniature ("mini"), a folder in diffusers' format (see the table above), or a Hub id "owner/name",
    fetched once and cached.
    engine: "eager" or "exact" (see `sfumato.engine`). precision: "float32" or "bfloat16" weights.

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
