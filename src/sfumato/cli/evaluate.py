"""sfumato evaluate"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sfumato.cli import options


def evaluate(
    model: Annotated[str, typer.Argument(help="A built-in model, a folder, or a Hub id.")] = "mini",
    count: Annotated[int, typer.Option(help="Pictures of seen compositions, and as many of held-out ones.")] = 200,
    seed: Annotated[int, typer.Option(help="Seed of the world of scenes; 0 is the training world.")] = 1_000_003,
    steps: options.Steps = 20,
    guidance: options.Guidance = 5.0,
    out: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the report and the pictures.", show_default=False)
    ] = None,
    json: options.Json = False,
) -> None:
    """Measure a model: do its pictures show what their captions say, also in combinations it never saw?"""
    from sfumato.evaluate import run
    from sfumato.picture import BadInput
    from sfumato.recipe import ClassifierFree, Recipe

    Recipe(steps=steps, seed=seed, model=model, guidance=(ClassifierFree(guidance),))  # refuse before torch is loaded
    if count < 1:
        raise BadInput(f"--count is {count}: give a whole number of at least 1")
    run(model, count=count, seed=seed, steps=steps, guidance=guidance, out=out, json=json)
