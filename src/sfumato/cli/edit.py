"""sfumato edit"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sfumato.cli import options

if TYPE_CHECKING:
    from sfumato.recipe import Recipe

_MASK = "Mask"


def edit(
    context: typer.Context,
    picture: Annotated[Path, typer.Argument(help="The picture to start from.")],
    prompt: options.Prompt = "",
    start: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[:KEY=VALUE,...]",
            help="Start from the picture by one of {sfumato.recipe.written:starts}, as sdedit:strength=0.4, or with "
            "--mask or a model that looks at the picture by {sfumato.recipe.written:blank_starts}; --from, --with and "
            "--task choose a start themselves.",
        ),
    ] = None,
    strength: Annotated[
        float | None,
        typer.Option(
            help="How far to go: 0 leaves the picture as it is, 1 is pure noise. By default 0.6, with --mask 1, "
            "with --from 0.8 (on mini 0.9), with --method prompt-to-prompt 1."
        ),
    ] = None,
    shows: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="What the picture shows. It is inverted, not noised, and without a mask only where the prompt says "
            "something else of it may it change (DiffEdit).",
        ),
    ] = None,
    method: options.Method = None,
    to: Annotated[str | None, typer.Option(help="The same as PROMPT.")] = None,
    save_mask: Annotated[
        Path | None,
        typer.Option(help="Where to write the mask that is found: by --from, or by the word that --method blends by."),
    ] = None,
    other: Annotated[
        Path | None, typer.Option("--with", help="Start between PICTURE and this one, at --weight.")
    ] = None,
    weight: Annotated[
        float | None, typer.Option(help="With --with: 0 is PICTURE, 1 the other; by default 0.5.")
    ] = None,
    refine: Annotated[
        int | None,
        typer.Option(help="With --from or --with: iterations a step that make the inversion exact; by default 2."),
    ] = None,
    inversion: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[:KEY=VALUE,...]",
            help="How --from inverts: one of {sfumato.recipe.written:inversions}; ddim:null=10 has null texts that "
            "keep the picture under guidance, and edit-friendly noise for --sampler ddpm.",
        ),
    ] = None,
    hold: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[:KEY=VALUE,...]",
            help="What to keep without a mask: one of {sfumato.recipe.written:holds}, or none. low-pass:factor=4 keeps "
            "the picture's coarse shapes and colours, inferred:draws=10 what --from has in common with the prompt.",
        ),
    ] = None,
    mask: Annotated[
        Path | None, typer.Option(help="Repaint only where this picture is white; it has the size of PICTURE.")
    ] = None,
    grow: Annotated[
        float, typer.Option(help="Grow the mask by so many pixels, or shrink it if negative.", rich_help_panel=_MASK)
    ] = 0.0,
    feather: Annotated[
        float, typer.Option(help="Pixels over which the mask fades out around its edge.", rich_help_panel=_MASK)
    ] = 0.0,
    dilate: Annotated[
        float,
        typer.Option(
            help="For thin masks: grown by so many pixels where all is noise, the mask shrinks to itself on the way.",
            rich_help_panel=_MASK,
        ),
    ] = 0.0,
    resample: Annotated[
        str | None,
        typer.Option(
            metavar="STEPSxTIMES",
            help="RePaint: walk every stretch of so many steps so many times, as 10x5.",
            rich_help_panel=_MASK,
        ),
    ] = None,
    only_masked: Annotated[
        bool,
        typer.Option(
            "--only-masked",
            help="Show the model the part around the mask alone, also where it could see the whole picture well.",
            rich_help_panel=_MASK,
        ),
    ] = False,
    margin: Annotated[
        int | None,
        typer.Option(
            help="Pixels around the mask that --only-masked shows the model; by default 32.", rich_help_panel=_MASK
        ),
    ] = None,
    extend: Annotated[
        str | None,
        typer.Option(
            metavar="L,T,R,B|N",
            help="Widen the picture by so many pixels on its left, top, right and bottom and paint what is new there.",
            rich_help_panel=_MASK,
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="For a model that mends the picture it is shown: one of {sfumato.edit.palette:SEEN}, some of them "
            "with a mask."
        ),
    ] = None,
    composite: Annotated[
        str,
        typer.Option(
            metavar="NAME[:KEY=VALUE,...]",
            help="How the result joins what lies outside the mask, where every pixel stays as it is: paste; poisson, "
            "with its colours at the edge; latent or decoder, optimised for each picture. none: as the model gives it. "
            "Of {sfumato.edit:Composite}.",
        ),
    ] = "paste",
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
    """Turn a picture into another: a sketch into a painting, or a part of a photograph into something else.

    With a mask, given or inferred, the picture comes back at its own size, and what lies outside the mask is its own to
    the byte (in PNG and lossless WebP): the model sees the whole of it scaled, or the part around the mask where it
    would shrink far. Without a mask it is scaled so that its longer side has the model's size, unless --size is given.

    The picture and the mask are kept, so that `sfumato redo` finds them, until `sfumato store` removes them.
    """
    from sfumato.cli.common import recipes_of, wishes
    from sfumato.cli.paint import Running, make
    from sfumato.picture import BadInput, kept_files
    from sfumato.recipe import intent

    said = wishes(context.params, "edit")
    if to is not None:
        if prompt:
            raise BadInput("the prompt is given twice, as PROMPT and as --to: give one of them")
        said["prompt"] = to
    with kept_files() as read:
        recipe = intent.edit(**said)
    check_found(recipe, save_mask)
    inputs = [picture, mask, other, *(images or []), *read]
    running = Running(device, precision, offload, engine)
    make(recipes_of(recipe, count), said["tells"], output, json, save_mask, inputs, running)


def check_found(recipe: Recipe, save_mask: Path | None) -> None:
    """Raises BadInput where a mask is to be saved and none is found: by DiffEdit, or by a local blend."""
    from sfumato.picture import BadInput

    given = recipe.hold is not None and recipe.hold.mask is not None
    blends = recipe.attention is not None and bool(recipe.attention.blend) and not given
    infers = recipe.hold is not None and recipe.hold.infers
    if save_mask is not None and not infers and not blends:
        raise BadInput(
            "--save-mask writes a mask that is found: say what the picture shows with --from and give no --mask, "
            "or blend by a word, --method prompt-to-prompt:blend=WORD"
        )
    if save_mask is not None and infers and recipe.start.strength == 0:
        raise BadInput("--save-mask needs a --strength above 0: at 0 the picture stays as it is, and no mask is found")
