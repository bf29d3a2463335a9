"""sfumato edit"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sfumato.cli import options


def edit(
    context: typer.Context,
    picture: Annotated[Path, typer.Argument(help="The picture to start from.", show_default=False)],
    prompt: options.Prompt = "",
    strength: Annotated[
        float, typer.Option(help="How far to go: 0 leaves the picture as it is, 1 starts from pure noise.")
    ] = 0.6,
    mask: Annotated[
        Path | None,
        typer.Option(help="Repaint only where this picture is white; it has the size of PICTURE.", show_default=False),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="For a model that mends the picture it is shown: colourise, restore, or with a mask inpaint, uncrop.",
            show_default=False,
        ),
    ] = None,
    composite: Annotated[
        str,
        typer.Option(
            help="How the result joins what lies outside the mask, where every pixel stays as it is: paste; poisson, "
            "with its colours at the edge; latent or decoder, optimised for each picture. none: as the model gives it."
        ),
    ] = "paste",
    label: options.Label = None,
    negative: options.Negative = "",
    guidance: options.Guided = None,
    guide: options.Guide = None,
    seed: options.Seed = None,
    count: options.Count = 1,
    size: options.Size = None,
    model: options.Model = "mini",
    sampler: options.Sampled = "dpmpp-2m",
    times: options.Times = "uniform",
    steps: options.Steps = 20,
    engine: options.Engine = "eager",
    precision: options.Precision = "float32",
    output: options.Output = None,
    json: options.Json = False,
) -> None:
    """Turn a picture into another: a sketch into a painting, or a part of a photograph into something else.

    A picture is scaled so that its longer side has the model's size, unless --size is given.
    With a mask, what lies outside equals the picture at that size, to the byte.
    """
    from dataclasses import replace

    from sfumato.cli.common import hushed, make, recipe_of, recipes_of
    from sfumato.picture import open_mask, open_picture
    from sfumato.recipe import Noise, Outside, SDEdit, Source

    recipe = recipe_of(context.params)
    with hushed():
        start = open_picture(picture)
        held = None if mask is None else Outside(open_mask(mask, start.size))
    if task is None:
        recipe = replace(recipe, start=SDEdit(start, strength), hold=held)
    else:
        recipe = replace(recipe, start=Noise(), source=Source(start, task), hold=held)
    make(recipes_of(recipe, count), output, json)
