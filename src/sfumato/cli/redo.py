"""sfumato redo"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sfumato.cli import options

if TYPE_CHECKING:
    from sfumato.model.pipe import Progress


def redo(
    picture: Annotated[Path, typer.Argument(help="A picture that sfumato made, or A1111, InvokeAI or ComfyUI.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to; by default PICTURE-redo.png.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Where the recipe's model is now, if it has moved.")] = None,
    refiner: Annotated[
        str | None, typer.Option(help="Where the model is now that took over, where one did (a refiner).")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Where to run it; by default where it was made, if that is here.")
    ] = None,
    offload: options.Offload = "none",
    lora: Annotated[
        list[Path] | None,
        typer.Option(
            help="Where a file of the recipe's adapters is now, or what takes its place, or a folder of those that "
            "another tool's picture names; repeatable."
        ),
    ] = None,
    allow_pickle: options.AllowPickle = False,
    json: options.Json = False,
) -> None:
    """Make a picture again from the recipe inside it, and say whether the pixels are the same.

    A picture of A1111, InvokeAI or a plain graph of ComfyUI is painted with the --model that is named.
    """
    import sys

    from sfumato.adapt import open_file
    from sfumato.cli.common import note, print_json
    from sfumato.picture import check_outputs, original, path_of, save_picture
    from sfumato.picture.errors import printable
    from sfumato.progress import progress
    from sfumato.provenance import recipe_or_replay
    from sfumato.provenance import redo as again
    from sfumato.recipe import parameters

    picture = path_of(picture)
    (output,) = check_outputs([picture], [output or picture.with_name(f"{picture.stem}-redo.png")])
    folders = [path for path in lora or () if path.is_dir()]
    files = [open_file(path, allow_pickle=allow_pickle) for path in lora or () if path not in folders]
    recipe, remarks = recipe_or_replay(picture, model, lora or (), refiner=refiner, allow_pickle=allow_pickle)
    for remark in remarks:
        note(remark)
    with progress(f"loading {printable(model or recipe.model, 60)}") as advance:

        def show(step: Progress) -> None:
            advance(done=step.index, total=step.total, title="painting")

        made = again(
            picture,
            model=model,
            refiner=refiner,
            device=device,
            offload=offload,
            files=files,
            folders=folders,
            allow_pickle=allow_pickle,
            on_step=show,
        )
    held = made.recipe.held
    save_picture(
        made.image,
        output,
        recipe_json=made.recipe.to_json(),
        parameters=parameters(made.recipe),
        like=None if held is None else original(held),
    )
    print(f"sfumato: {made.verdict}{f': {made.reason}' if made.reason else ''}", file=sys.stderr)
    if json:
        verdict = {"identical": made.identical, "difference": made.difference, "verdict": made.verdict}
        print_json({"path": str(output), **verdict, **({"reason": made.reason} if made.reason else {})})
    else:
        print(output)
