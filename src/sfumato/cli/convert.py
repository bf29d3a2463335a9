"""sfumato convert"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sfumato.cli import options


def convert(
    source: Annotated[str, typer.Argument(help="A single file, a model's folder, a built-in model.")],
    target: Annotated[Path, typer.Argument(help="Where to: a name ending in .safetensors, or a folder.")],
    allow_pickle: options.AllowPickle = False,
    json: options.Json = False,
) -> None:
    """Write a model's folder as a single file, or a single file as a folder: the same tensors, to the bit."""
    from sfumato.cli.common import print_json, silent_stderr
    from sfumato.formats.convert import convert as write

    with silent_stderr():
        written = write(source, target)
    if json:
        print_json({"path": str(written)})
    else:
        print(written)
