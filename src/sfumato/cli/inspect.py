"""sfumato inspect"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sfumato.cli import options


def inspect(
    path: Annotated[Path, typer.Argument(help="A picture, or a model's folder.", show_default=False)],
    json: options.Json = False,
) -> None:
    """Say what stands in a picture: its recipe, how it was made, whether it was changed. Or what a model holds."""
    from sfumato.cli.common import hushed, print_json
    from sfumato.provenance import inspect as look
    from sfumato.provenance import inspect_model

    with hushed():
        found = inspect_model(path) if path.is_dir() else look(path)
    if json:
        print_json(found.as_dict())
    else:
        print(found.text())
