"""sfumato inspect"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sfumato.cli import options


def inspect(
    path: Annotated[Path, typer.Argument(help="A picture, a model's folder or file, or a built-in model.")],
    allow_pickle: options.AllowPickle = False,
    json: options.Json = False,
) -> None:
    """Say what stands in a picture: its recipe, how it was made, whether it was changed. Or what a model holds."""
    from sfumato.cli.common import print_json, silent_stderr
    from sfumato.picture import path_of
    from sfumato.provenance import inspect as look
    from sfumato.provenance import inspect_model
    from sfumato.zoo.find import file_of, here

    single = file_of(path) is not None
    path = path if single else path_of(path)
    model = path if path.exists() and not single else here(path)
    with silent_stderr():
        found = look(path) if model is None or not model.is_dir() else inspect_model(model)
    if json:
        print_json(found.as_dict())
    else:
        print(found.text())
