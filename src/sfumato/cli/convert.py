"""sfumato convert"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sfumato.cli import options


def convert(
    source: Annotated[
        str, typer.Argument(help="A single file, a model's or a ControlNet's folder, a built-in model; or an adapter.")
    ],
    target: Annotated[Path, typer.Argument(help="Where to: a name ending in .safetensors, or a folder.")],
    to: Annotated[
        str,
        typer.Option(help="Of an adapter: what is written, one of {sfumato.adapt.adapter_formats:ADAPTER_FORMATS}."),
    ] = "",
    model: Annotated[
        str, typer.Option("--model", "-m", help="Of an adapter: what it was made for, where its file doesn't tell.")
    ] = "",
    allow_pickle: options.AllowPickle = False,
    json: options.Json = False,
) -> None:
    """Write a model's folder as a single file, or a single file as a folder: the same tensors, to the bit. ControlNets
    and T2I-Adapters too.

    With --to write a LoRA (LoHa, LoKr, DoRA, ...) in another tool's format: the same change of every layer.
    """
    from sfumato.adapt import open_file
    from sfumato.cli.common import print_json, silent_stderr
    from sfumato.formats.convert import convert as write
    from sfumato.formats.convert_adapter import convert_adapter
    from sfumato.picture import BadInput

    if model and not to:
        raise BadInput("--model is said of an adapter: say with --to in which format it is to be written too.")
    with silent_stderr():
        if to:
            written = convert_adapter(open_file(source, allow_pickle=allow_pickle), target, to, model or None)
        else:
            written = write(source, target)
    if json:
        print_json({"path": str(written)})
    else:
        print(written)
