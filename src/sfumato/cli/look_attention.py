"""sfumato look-attention"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sfumato.cli import options


def look_attention(
    context: typer.Context,
    prompt: options.Prompt,
    picture: Annotated[
        Path | None, typer.Option(help="Look at this picture; without it at the one that the prompt makes.")
    ] = None,
    at: Annotated[
        float, typer.Option(help="With --picture: the time of the noise that is added to it, above 0 and up to 1.")
    ] = 0.5,
    guidance: options.Guided = None,
    guide: options.Guide = None,
    seed: options.Seed = None,
    size: options.Size = None,
    model: options.Model = "mini",
    sampler: options.Sampled = "dpmpp-2m",
    times: options.Times = "uniform",
    steps: options.Steps = 20,
    engine: options.Engine = "eager",
    precision: options.Precision = "auto",
    device: options.Device = "auto",
    offload: options.Offload = "none",
    allow_pickle: options.AllowPickle = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Where to: a name ending in {sfumato.picture:WRITABLE}. By default out/look-WORDS-SEED.png.",
        ),
    ] = None,
    json: options.Json = False,
) -> None:
    """Show where each word of a prompt looks: the network's cross-attention, as one picture with a tile a word."""
    from dataclasses import replace

    import sfumato
    from sfumato.cli.common import default_output, print_json, silent_stderr, wishes
    from sfumato.model.look import look_attention as look
    from sfumato.picture import check_outputs, kept_files, open_picture, save_picture
    from sfumato.progress import progress
    from sfumato.recipe import intent

    with kept_files() as read:
        recipe = intent.generate(**wishes(context.params, "generate"))
    default = default_output(recipe)
    (path,) = check_outputs([picture, *read], [output or default.with_name(f"look-{default.name}")])
    with silent_stderr():
        shown = None if picture is None else open_picture(picture)
    with progress(f"loading {model}") as advance:
        pipe = sfumato.load(model, engine=recipe.engine, precision=precision, device=device, offload=offload)
        recipe = replace(recipe, precision=pipe.precision)  # pyright: ignore[reportArgumentType]
        advance(done=0, total=1, title="looking")
        looked = look(pipe, recipe, shown, at)
    save_picture(looked.sheet(), path)
    if json:
        print_json({"path": str(path), "seed": recipe.seed, "words": looked.words})
    else:
        print(path)
