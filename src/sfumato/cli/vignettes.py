"""sfumato vignettes"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sfumato.cli import options


def vignettes(
    folder: Annotated[Path, typer.Argument(help="Folder to write; with --grid the picture to write.")],
    count: Annotated[int, typer.Option(help="How many.")] = 64,
    size: Annotated[int, typer.Option(help="Pixels a side, 16 to 4096.")] = 128,
    seed: Annotated[int, typer.Option(help="Seed of the world.")] = 0,
    start: Annotated[int, typer.Option(help="Number of the first scene.")] = 0,
    split: Annotated[str, typer.Option(help="Which compositions: {sfumato.data.vignettes.scene:SPLITS}.")] = "seen",
    truth: Annotated[
        bool, typer.Option("--truth/--no-truth", help="Write instance, semantic, depth and normal maps too.")
    ] = True,
    grid: Annotated[bool, typer.Option("--grid", help="Draw one contact sheet instead.")] = False,
    columns: Annotated[int, typer.Option(help="Columns of the contact sheet.")] = 8,
    json: options.Json = False,
) -> None:
    """Draw pictures of the built-in world, with captions and ground truth, as an imagefolder with metadata.jsonl.

    What is there already is kept, so a run that was broken off goes on where it stopped.
    """
    from sfumato.cli.common import print_json
    from sfumato.data.vignettes.scene import SPLITS
    from sfumato.element import nearest
    from sfumato.picture import BadInput, check_writable, save_picture
    from sfumato.progress import progress

    if split not in SPLITS:
        raise BadInput(f"--split {split!r} is unknown{nearest(split, SPLITS)}: accepted are {', '.join(SPLITS)}")
    for name, value, low, high in (
        ("count", count, 1, 10**7),
        ("size", size, 16, 4096),
        ("seed", seed, 0, 2**63 - 1),
        ("start", start, 0, 2**53),
        ("columns", columns, 1, 1000),
    ):
        if not low <= value <= high:
            raise BadInput(f"--{name} is {value}: give a whole number from {low} to {high}")
    if grid and start:
        raise BadInput("--start goes with a folder, not with --grid: a contact sheet begins at scene 0")
    if grid:
        check_writable(folder)
    elif folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder} is a file: give a folder, or --grid for one contact sheet")

    from sfumato.data.vignettes import export, sheet

    if grid:
        if count * size * size > 10**9:
            raise BadInput(f"a sheet of {count} pictures of {size} x {size} is too large: take fewer or smaller ones")
        save_picture(sheet(count, seed=seed, size=size, split=split, columns=columns), folder)  # type: ignore[arg-type]
    else:
        with progress("drawing") as advance:
            export(
                folder,
                count,
                seed=seed,
                size=size,
                split=split,  # type: ignore[arg-type]
                truth=truth,
                start=start,
                progress=lambda done: advance(done=done, total=count),
            )
    if json:
        print_json({"path": str(folder), "count": count, "seed": seed, "start": start, "size": size, "split": split})
    else:
        print(folder)
