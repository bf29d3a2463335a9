"""sfumato caption"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sfumato.cli import options


def caption(
    folder: Annotated[Path, typer.Argument(metavar="PHOTOS", help="A folder of pictures.")],
    model: Annotated[
        str, typer.Option("--model", "-m", help="The BLIP that looks at them: a folder, or a Hub id.")
    ] = "Salesforce/blip-image-captioning-base",
    subject: Annotated[
        str, typer.Option("--as", help="What prompts are to call what they show, as 'sks woman'; each caption says it.")
    ] = "",
    kind: Annotated[
        str, typer.Option("--class", help="What it is one of, as 'woman': where a caption says that, it says --as.")
    ] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Write captions anew where there are some.")] = False,
    device: options.Device = "auto",
    json: options.Json = False,
) -> None:
    """Describe pictures in words: a .txt beside each, which `personalize` and `train` read.

    Look through them before you train: what a caption says is not learnt as a part of the subject, what it leaves out
    is.
    """
    from sfumato.cli.common import print_json, silent_stderr
    from sfumato.data.captions import uncaptioned, write_captions

    paths = uncaptioned(folder, replace)
    found: dict[str, str] = {}
    if paths:
        from sfumato.network.blip import Blip

        with silent_stderr():
            blip = Blip(model, device)
        for path, said in write_captions(paths, blip, subject, kind):
            found[str(path.with_suffix(".txt"))] = said
            if not json:
                print(f"{path.with_suffix('.txt')}: {said}", flush=True)
    if json:
        print_json({"captions": found})
