"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

WRITABLE = ".png, .jpg, .jpeg or .webp"

_SAMPLING = "Sampling"
_OUTPUT = "Output"

_PROMPT = r"What the picture is to show. (word:1.3) or (word) counts more, \[word] less; \( is a bracket itself"
Prompt = Annotated[str, typer.Argument(help=f"{_PROMPT}.", show_default=False)]
PromptOrLabel = Annotated[
    str | None, typer.Argument(help=f"{_PROMPT}. Models that read no text take --label.", show_default=False)
]
Method = Annotated[
    str | None,
    typer.Option(
        metavar="NAME[:KEY=VALUE,...]",
        help="With --from: diffedit, or prompt-to-prompt, which paints the words that stay where they were; as "
        "prompt-to-prompt:cross_maps=0.8,self_maps=0.4,blend=hat+scarf. blend: all but these words stays as it is.",
        show_default=False,
    ),
]
Label = Annotated[
    str | None,
    typer.Option(
        help="Name or index of a class, for models that know classes; `sfumato inspect MODEL` lists them.",
        show_default=False,
    ),
]
Negative = Annotated[str, typer.Option(help="What it is not to show.", show_default=False)]
Guidance = Annotated[
    float, typer.Option(help="Classifier-free guidance: how closely to follow words or class; 1 is off.")
]
Guided = Annotated[
    float | None,
    typer.Option(
        "--guidance",
        help="How closely to follow words or class: the scale of classifier-free guidance, 1 is off, or of a guidance "
        "of the model's own. By default what suits it, mostly 5, or what --guide says of cfg, cfg++ or "
        "apg.",
        show_default=False,
    ),
]
Guide = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME[:KEY=VALUE,...]",
        help="A further guidance, as pag:scale=3,layers=mid+up,interval=0.2-0.8; repeatable. One of "
        "{sfumato.guide:Guidance}.",
        show_default=False,
        rich_help_panel=_SAMPLING,
    ),
]
ClipSkip = Annotated[
    int,
    typer.Option(
        help="The layer of CLIP that the words are read from: 2 leaves out the last, as A1111 has it.",
        rich_help_panel=_SAMPLING,
    ),
]
Refiner = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL[:at=T]",
        help="A model that ends what MODEL began, as SDXL's refiner; at: the time from which on, 0.2 by default.",
        show_default=False,
        rich_help_panel=_SAMPLING,
    ),
]
Sampler = Annotated[str, typer.Option(help="One of {sfumato.sample:Sampler}.", rich_help_panel=_SAMPLING)]
Sampled = Annotated[
    str | None,
    typer.Option(
        "--sampler",
        metavar="NAME[:KEY=VALUE,...]",
        help="One of {sfumato.sample:Sampler}. With options: ddim:eta=1. By default {sfumato.sample:DEFAULT_SAMPLER}.",
        show_default=False,
        rich_help_panel=_SAMPLING,
    ),
]
Times = Annotated[
    str | None,
    typer.Option(
        metavar="NAME[:KEY=VALUE,...]",
        help="Time grid: one of {sfumato.times:TimeGrid}. With options: karras:rho=5. By default "
        "{sfumato.times:DEFAULT_GRID}.",
        show_default=False,
        rich_help_panel=_SAMPLING,
    ),
]
Steps = Annotated[int, typer.Option(help="Steps, 1 to 1000.", rich_help_panel=_SAMPLING)]
Stepped = Annotated[
    int | None,
    typer.Option(
        "--steps",
        help="Steps, 1 to 1000; by default what suits the model, mostly 20.",
        show_default=False,
        rich_help_panel=_SAMPLING,
    ),
]
Images = Annotated[
    list[Path] | None,
    typer.Option(
        "--image",
        help="A picture that the model looks at while it paints, for models that do; repeatable.",
        show_default=False,
    ),
]
Seed = Annotated[
    int | None, typer.Option(help="Seed of the first picture; without it a random one.", show_default=False)
]
Count = Annotated[int, typer.Option(help="How many pictures; their seeds are SEED, SEED+1, ...")]
Size = Annotated[
    str | None,
    typer.Option(metavar="WxH|N", help="Size in pixels, as 128x96 or 128; else the model's own.", show_default=False),
]
Model = Annotated[str, typer.Option(help="A built-in model, a folder, or a Hub id; see `sfumato models`.")]
Engine = Annotated[
    str, typer.Option(help="eager, or exact: the same bits alone and in any batch.", rich_help_panel=_SAMPLING)
]
Precision = Annotated[str, typer.Option(help="float32 or bfloat16.", rich_help_panel=_SAMPLING)]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help=f"Where to: a name ending in {WRITABLE}; of several pictures g.png becomes g-0.png, g-1.png, ... and the "
        "contact sheet g-sheet.png. By default out/WORDS-SEED.png.",
        show_default=False,
        rich_help_panel=_OUTPUT,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.", rich_help_panel=_OUTPUT)]
