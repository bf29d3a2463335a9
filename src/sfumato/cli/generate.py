"""sfumato generate"""

from __future__ import annotations

from typing import Annotated

import typer

from sfumato.cli import options


def generate(
    context: typer.Context,
    prompt: options.PromptOrLabel = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[:KEY=VALUE,...]",
            help="Where to begin: one of {sfumato.recipe.written:blank_starts}. hires-fix paints at half the size "
            "first, or at 1/3 with hires-fix:scale=3, for sizes far above the model's own.",
            show_default=False,
        ),
    ] = None,
    shows: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Edit the picture that these words make (Prompt-to-Prompt): PROMPT has some of them changed, more of "
            "them, or weighs them as in (red:1.6).",
        ),
    ] = None,
    method: options.Method = None,
    images: options.Images = None,
    controls: options.Controls = None,
    region: options.Regions = None,
    regional: options.Regional = None,
    layout: options.Layout = None,
    lora: options.Lora = None,
    embedding: options.Embedding = None,
    hypernetwork: options.Hypernetwork = None,
    adapter: options.Adapter = None,
    allow_pickle: options.AllowPickle = False,
    label: options.Label = None,
    negative: options.Negative = "",
    guidance: options.Guided = None,
    guide: options.Guide = None,
    refiner: options.Refiner = None,
    stage: options.Stage = None,
    clip_skip: options.ClipSkip = 1,
    emphasis: options.Emphasis = "mean-restored",
    seed: options.Seed = None,
    count: options.Count = 1,
    size: options.Size = None,
    model: options.Model = "mini",
    sampler: options.Sampled = None,
    times: options.Times = None,
    steps: options.Stepped = None,
    noise: options.Noise = "keyed",
    engine: options.Engine = "eager",
    precision: options.Precision = "auto",
    device: options.Device = "auto",
    offload: options.Offload = "none",
    vae: options.Vae = "",
    transformer: options.Transformer = "",
    tile: options.Tile = 0,
    output: options.Output = None,
    json: options.Json = False,
) -> None:
    """Make pictures from words, or of a class."""
    from sfumato.cli.common import recipes_of, wishes
    from sfumato.cli.paint import Running, make
    from sfumato.picture import kept_files
    from sfumato.recipe import intent

    said = wishes(context.params, "generate")
    with kept_files() as read:
        recipe = intent.generate(**said)
    running = Running(device, precision, offload, engine)
    make(recipes_of(recipe, count), said["tells"], output, json, inputs=[*(images or []), *read], running=running)
