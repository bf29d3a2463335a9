"""sfumato merge"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sfumato.cli import options


def merge(
    model: Annotated[str, typer.Argument(help="A built-in model, a folder, or a Hub id.")],
    target: Annotated[Path, typer.Argument(help="The folder to write.")],
    lora: options.Lora = None,
    allow_pickle: options.AllowPickle = False,
    json: options.Json = False,
) -> None:
    """Bake LoRAs into a model: a folder with their weights in it, for tools that add none."""
    from sfumato.cli.common import print_json, silent_stderr
    from sfumato.model.merge import merge as write
    from sfumato.recipe import written

    adapters = [written.lora(each, allow_pickle) for each in lora or ()]
    with silent_stderr():
        made = write(model, adapters, target)
    print_json({"path": str(made)}) if json else print(made)
