"""sfumato store"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sfumato.cli import options


def store(
    older_than: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER[h|d|w]", help="Remove the pictures that were not used for so long, as 30d, 12h or 4w."
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Remove all pictures.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --older-than or --all: only say what would be removed.")
    ] = False,
    json: options.Json = False,
) -> None:
    """List the input pictures that are kept, or remove some.

    Every picture and mask that is edited is kept as the file that it was, with all that stands in it, so that
    `sfumato redo` can make the result again and so that a result can carry the author and the colour profile of its
    original. They are kept in the user's data folder, under pictures/ (by default ~/.local/share/sfumato on Linux,
    ~/Library/Application Support/sfumato on macOS; $SFUMATO_HOME is another place for it), where only the user may read
    them, and stay until they are removed here.
    """
    from sfumato.cli.common import print_json
    from sfumato.picture import BadInput, prune, stored
    from sfumato.picture.store import pictures_folder

    if everything and older_than is not None:
        raise BadInput("--all and --older-than say two things: give one of them")
    removes = everything or older_than is not None
    if dry_run and not removes:
        raise BadInput("--dry-run is about what is removed: say which pictures with --older-than or --all")
    found = prune(_seconds(older_than), dry_run=dry_run) if removes else stored()
    if json:
        told = [_described(each) for each in found]
        print_json({"folder": str(pictures_folder()), "removed": removes and not dry_run, "pictures": told})
        return
    for each in found:
        print(_line(each))
    done = ("would be removed" if dry_run else "removed") if removes else f"kept in {pictures_folder()}"
    files = f"{len(found)} file{'' if len(found) == 1 else 's'}"
    print(f"{files}, {sum(each.bytes for each in found) / 1e6:.1f} MB {done}")


def _seconds(text: str | None) -> float:
    """Of `30d`, `12h` or `4w`; 0 of nothing."""
    import re

    from sfumato.picture import BadInput

    if text is None:
        return 0.0
    found = re.fullmatch(r"\s*(\d{1,6})\s*([hdw])\s*", text)
    if not found:
        raise BadInput(f"--older-than {text!r} is no time: give a number of hours, days or weeks, as 12h, 30d or 4w")
    return float(found[1]) * {"h": 3600, "d": 86400, "w": 604800}[found[2]]


def _line(each: Any) -> str:
    from datetime import datetime

    size = f"{each.size[0]} x {each.size[1]}" if each.size else "damaged"
    kind = "mask" if each.mask else each.path.suffix[1:]
    used = datetime.fromtimestamp(each.used)
    return f"{used:%Y-%m-%d %H:%M}  {each.bytes / 1e6:8.2f} MB  {size:>13}  {kind:4}  {each.sha256[:12]}"


def _described(each: Any) -> dict[str, Any]:
    from datetime import UTC, datetime

    return {
        "path": str(each.path),
        "sha256": each.sha256,
        "bytes": each.bytes,
        "used": datetime.fromtimestamp(each.used, UTC).isoformat(timespec="seconds"),
        "width": each.size and each.size[0],
        "height": each.size and each.size[1],
        "mask": each.mask,
    }
