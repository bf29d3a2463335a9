"""sfumato train"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train(
    recipe: Annotated[Path, typer.Argument(help="A YAML file, or the name of a shipped recipe.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder of the run; by default runs/NAME. What is drawn and encoded for it is kept beside it, in "
            "cache/, for the next run.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print the resolved recipe, parameter counts and an estimate.")
    ] = False,
    resume: Annotated[bool, typer.Option(help="Go on from the newest whole checkpoint, if there is one.")] = True,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Replace a value of the recipe; repeatable.")
    ] = None,
) -> None:
    """Train a model as a recipe says. Ctrl-C saves and leaves; the same command goes on from there, exactly."""
    from sfumato.train import run

    run(recipe, out=out, dry_run=dry_run, resume=resume, overrides=overrides or [])
