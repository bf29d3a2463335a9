"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_SAMPLING = "Sampling"
_OUTPUT = "Output"

_PROMPT = r"What the picture is to show. (word:1.3) or (word) counts more, \[word] less; \( is a bracket itself"
Prompt = Annotated[str, typer.Argument(help=f"{_PROMPT}.")]
PromptOrLabel = Annotated[str | None, typer.Argument(help=f"{_PROMPT}. Models that read no text take --label.")]
Method = Annotated[
    str | None,
    typer.Option(
        metavar="NAME[:KEY=VALUE,...]",
        help="With --from: one of {sfumato.recipe.written:methods}, the first for `sfumato edit` alone. "
        "prompt-to-prompt paints the words that stay where they were; with prompt-to-prompt:blend=hat+bow all but "
        "these words stays as it is.",
    ),
]
Label = Annotated[
    str | None,
    typer.Option(help="Name or index of a class, for models that know classes; `sfumato inspect MODEL` lists them."),
]
Negative = Annotated[str, typer.Option(help="What it is not to show.")]
Guidance = Annotated[
    float | None,
    typer.Option(
        help="How closely to follow words or class: the scale of guidance, 1 is off. By default what suits the model, "
        "mostly 5.",
        show_default=False,
    ),
]
Guided = Annotated[
    float | None,
    typer.Option(
        "--guidance",
        help="How closely to follow words or class: the scale of classifier-free guidance, 1 is off, or of a guidance "
        "of the model's own. By default what suits it, mostly 5, or what --guide says of cfg, cfg++ or "
        "apg.",
    ),
]
Guide = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME[:KEY=VALUE,...]",
        help="A further guidance, as pag:scale=3,interval=0.2-0.8; repeatable. One of {sfumato.guide:Guidance}.",
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
        rich_help_panel=_SAMPLING,
    ),
]
Stage = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME[:KEY=VALUE,...]",
        help="What another stage of a model of several does, as upscale:steps=30 or prior:guidance=4,sampler=ddim; "
        "repeatable.",
        rich_help_panel=_SAMPLING,
    ),
]
Sampler = Annotated[
    str, typer.Option(help="One of {sfumato.sample:Sampler}. With options: ddim:eta=1.", rich_help_panel=_SAMPLING)
]
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
Noise = Annotated[
    str,
    typer.Option(
        metavar="NAME[:KEY=VALUE,...]",
        help="Which numbers a seed stands for: one of {sfumato.noise:Randomness}. torch is stock diffusers'.",
        rich_help_panel=_SAMPLING,
    ),
]
Steps = Annotated[int, typer.Option(help="Steps, 1 to 1000.", rich_help_panel=_SAMPLING)]
Stepped = Annotated[
    int | None,
    typer.Option(
        "--steps", help="Steps, 1 to 1000; by default what suits the model, mostly 20.", rich_help_panel=_SAMPLING
    ),
]
Images = Annotated[
    list[Path] | None,
    typer.Option("--image", help="A picture that the model looks at while it paints, for models that do; repeatable."),
]
Controls = Annotated[
    list[str] | None,
    typer.Option(
        "--control",
        metavar="NAME:KEY=VALUE,...",
        help="A map and the network that obeys it: depth:picture=a.jpg shows a ControlNet the map that `sfumato "
        "control` makes of the picture; else the control's name, one of {sfumato.control:Control}, and a picture that "
        "is the map, or of which map=canny makes it. Besides net=FOLDER, by default the model's built-in one, "
        "weight=0.8, interval=0.2-1, mask=b.png; repeatable.",
    ),
]
Regions = Annotated[
    list[str] | None,
    typer.Option(
        "--region",
        metavar="WHERE:PROMPT",
        help="Words that hold in a part of the picture: a mask, white there, as hat.png:a red hat, or a box of "
        "fractions left,top,right,bottom, as 0,0,0.5,1:a red house; with hat.png,weight=0.8 PROMPT has the rest of the "
        "say there; repeatable.",
        show_default=False,
    ),
]
Emphasis = Annotated[
    str, typer.Option(help="What weights of words, as (hat:1.3), do: one of {sfumato.emphasis:Emphasis}.")
]
Regional = Annotated[
    str | None,
    typer.Option(
        help="How the regions are painted: one of {sfumato.region:Regional}. By default attention where the model has "
        "it to words alone, else mixing.",
        show_default=False,
    ),
]
Layout = Annotated[
    Path | None,
    typer.Option(
        help="A map of what lies where, in the colours that `sfumato inspect MODEL` says, for models trained on such.",
        show_default=False,
    ),
]
_ADAPTERS = "Adapters"
Lora = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE[:WEIGHT,KEY=VALUE,...]",
        help="Add a LoRA (LoCon, LoHa, LoKr, DoRA) to the model, as me.safetensors:0.8; behind commas weights by "
        "block, down.1=0.5 or text=0, and the times at which it acts, interval=0.2-0.8; repeatable. A name without a "
        "folder is looked for in ./loras, $SFUMATO_LORAS and the user's loras, as <lora:me:0.8> in the prompt is.",
        rich_help_panel=_ADAPTERS,
    ),
]
Embedding = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE[:WORD]",
        help="A word that was learned from pictures (textual inversion), and what calls it in the prompt; repeatable.",
        rich_help_panel=_ADAPTERS,
    ),
]
Hypernetwork = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE[:WEIGHT]", help="A hypernetwork of A1111's web page; repeatable.", rich_help_panel=_ADAPTERS
    ),
]
Adapter = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME:KEY=VALUE,...",
        help="An adapter of any kind, one of {sfumato.adapt:Adapter}, as bottleneck:file=FILE; repeatable.",
        rich_help_panel=_ADAPTERS,
    ),
]
Seed = Annotated[int | None, typer.Option(help="Seed of the first picture; without it a random one.")]
Count = Annotated[int, typer.Option(help="How many pictures; their seeds are SEED, SEED+1, ...")]
Size = Annotated[
    str | None,
    typer.Option(
        metavar="WxH|N",
        help="Size in pixels, as 128x96 or 128; else the model's own. A picture of other proportions is cropped to it.",
    ),
]
Model = Annotated[
    str,
    typer.Option(
        help="A built-in model, a folder, a single file, or a Hub id; see `sfumato models`. Models that go on with "
        "what others made are joined, as in 'PRIOR + DECODER'. 'MODEL?without=PART' leaves out a part that it can "
        "do without; 'FILE?vae=FILE&text=FILE,FILE' names an autoencoder and text encoders in files of their own."
    ),
]


def _allowed(value: bool) -> bool:
    """Holds for every model that the command reads, whatever it is read for."""
    if value:
        from sfumato.zoo.find import allow_pickles

        allow_pickles()
    return value


AllowPickle = Annotated[
    bool,
    typer.Option(
        "--allow-pickle",
        help="Read models and adapters in files that are pickles too (.ckpt, .pt, .bin); tensors alone are taken.",
        callback=_allowed,
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        help="One of {sfumato.network.engine:Engine}; exact gives the same bits alone and in any batch, and so does "
        "openvino, which is quicker on a CPU; compiled is for a GPU. auto: the quickest that is here.",
        rich_help_panel=_SAMPLING,
    ),
]
_RUNNING = "Running"
Precision = Annotated[
    str,
    typer.Option(
        help="How weights are stored: {sfumato.network.engine:PRECISIONS}; float8 is computed in bfloat16. auto: "
        "float32 on a CPU, and what suits the device elsewhere.",
        rich_help_panel=_RUNNING,
    ),
]
Device = Annotated[
    str, typer.Option(help="cpu, cuda, cuda:1 or mps. auto: the quickest that is here.", rich_help_panel=_RUNNING)
]
Offload = Annotated[
    str,
    typer.Option(
        help="parts or layers: only the network, or the layer, that is called is on the device (on a CPU: in memory). "
        "Slower, for models that don't fit; no pixel changes.",
        rich_help_panel=_RUNNING,
    ),
]
Transformer = Annotated[
    str,
    typer.Option(
        metavar="FILE",
        help="Another transformer than the model's own: a .gguf, or a .safetensors, of its family.",
        rich_help_panel=_RUNNING,
    ),
]
Vae = Annotated[
    str,
    typer.Option(
        metavar="PATH",
        help="Another autoencoder than the model's own: its folder, that of a model, or a file.",
        rich_help_panel=_RUNNING,
    ),
]
Tile = Annotated[
    int,
    typer.Option(
        metavar="PIXELS",
        help="Let the autoencoder work in blended tiles of so many pixels a side, 512 say, for large pictures in "
        "little memory; 0: the whole picture at once.",
        rich_help_panel=_RUNNING,
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="Where to: a name ending in {sfumato.picture:WRITABLE}; of several pictures g.png becomes g-0.png, "
        "g-1.png, ... and the contact sheet g-sheet.png. By default out/WORDS-SEED.png.",
        rich_help_panel=_OUTPUT,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.", rich_help_panel=_OUTPUT)]
