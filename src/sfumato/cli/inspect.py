"""sfumato inspect"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sfumato.cli import options


def inspect(
    path: Annotated[
        Path,
        typer.Argument(
            help="A picture, a model's folder or file, a built-in model, an adapter's file, or a ControlNet, a "
            "T2I-Adapter or an IP-Adapter."
        ),
    ],
    allow_pickle: options.AllowPickle = False,
    json: options.Json = False,
) -> None:
    """Say what stands in a picture: its recipe, how it was made, whether it was changed. Or what a model holds, or an
    adapter: a LoRA, an embedding, a hypernetwork; or a network that is shown a picture: a ControlNet and its kin."""
    from sfumato.cli.common import print_json, silent_stderr
    from sfumato.picture import path_of
    from sfumato.provenance import inspect as look
    from sfumato.provenance import inspect_adapter, inspect_control, inspect_model, is_adapter
    from sfumato.zoo.find import file_of, here

    with silent_stderr():
        if (control := inspect_control(path, allow_pickle=allow_pickle)) is not None:
            found = control
        elif is_adapter(path_of(path), allow_pickle=allow_pickle):
            found = inspect_adapter(path_of(path), allow_pickle=allow_pickle)
        else:
            single = file_of(path) is not None
            path = path if single else path_of(path)
            model = path if path.exists() and not single else here(path)
            found = look(path) if model is None or not model.is_dir() else inspect_model(model)
    if json:
        print_json(found.as_dict())
    else:
        print(found.text())
