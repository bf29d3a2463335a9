"""sfumato control"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sfumato.cli import options


def control(
    picture: Annotated[Path, typer.Argument(help="The picture of which a map is made.")],
    kind: Annotated[
        str,
        typer.Option(
            "--as",
            metavar="NAME[:KEY=VALUE,...]",
            help="The map: one of {sfumato.control.maps:ControlMap}. With options: canny:low=50,high=150, or "
            "depth:net=FOLDER for a network of transformers.",
        ),
    ],
    size: Annotated[
        str | None,
        typer.Option(metavar="WxH|N", help="Size in pixels, as 128x96 or 128; else the picture's own."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Where to: a name ending in {sfumato.picture:WRITABLE}. By default out/PICTURE-NAME.png.",
        ),
    ] = None,
    json: options.Json = False,
) -> None:
    """Make the map of a picture that a ControlNet or a T2I-Adapter is shown: edges, depth, a pose, classes.

    In one call with the painting: `--control controlnet:picture=photo.jpg,net=FOLDER,map=canny`.
    """
    from sfumato.cli.common import print_json, silent_stderr
    from sfumato.control.maps import ControlMap, make_map
    from sfumato.picture import check_outputs, save_picture
    from sfumato.recipe.intent import size_of
    from sfumato.recipe.written import control_map

    made = control_map(kind)
    name = ControlMap.registry.name(made)
    width, height = size_of(size, lambda _: "--size")
    (path,) = check_outputs([picture], [output or Path("out") / f"{picture.stem}-{name}.png"])
    with silent_stderr():
        shown = make_map(picture, made, None if width is None or height is None else (width, height))
    save_picture(shown, path)
    if json:
        print_json({"path": str(path), "map": name, "size": list(shown.size)})
    else:
        print(path)
