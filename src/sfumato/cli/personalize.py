"""sfumato personalize"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import typer


def personalize(
    photos: Annotated[
        Path,
        typer.Argument(
            metavar="PHOTOS", help="A folder of pictures of the subject, 3 to 5 are enough; or a dataset of kohya's."
        ),
    ],
    subject: Annotated[
        str,
        typer.Option(
            "--as",
            help="What prompts are to call it, as 'sks woman'; auto: a rare word that means little to the model, and "
            "the class.",
        ),
    ],
    kind: Annotated[
        str, typer.Option("--class", help="What it is one of, as 'woman'; a new word begins as this one.")
    ] = "",
    method: Annotated[
        str,
        typer.Option(
            help="One of {sfumato.train.method:METHODS}. With options: lora:rank=16, lora:dora=true (DoRA), "
            "lora:convolutions=true (LoCon)."
        ),
    ] = "lora",
    model: Annotated[str, typer.Option("--model", "-m", help="The model that is taught.")] = "mini",
    prior: Annotated[
        int, typer.Option(min=0, max=1000, help="Keep the class as it was with so many pictures that the model paints.")
    ] = 0,
    steps: Annotated[int | None, typer.Option(min=1, help="How long to train.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder of the run; by default runs/METHOD. What is encoded for it is kept beside it, in cache/.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done, how long it takes and how large it is.")
    ] = False,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Replace a value of the recipe; repeatable."),
    ] = None,
) -> None:
    """Teach a model a subject or a style from a handful of pictures.

    What is left are files for `--lora`, `--embedding`, `--hypernetwork` or `--adapter`, or with dreambooth a whole
    model; how they are used is said at the end. Ctrl-C saves and leaves; the same command goes on from there, exactly.
    """
    from sfumato.data.kohya import is_kohya
    from sfumato.element.name_and_options import name_and_options
    from sfumato.train import run

    name, options = name_and_options(method)
    said = [key if value == "true" else f"{key}-{value}" for key, value in options.items()]
    folder = out or Path("runs") / re.sub(r"[^\w.-]", "-", "-".join([name, *said]))
    if subject == "auto":
        subject = _proposed(folder, model, kind)
    told: dict[str, object] = {"data.path": str(photos), "subject": subject, "kind": kind, "model": model}
    told |= {"method.kind": name, **{f"method.{key}": value for key, value in options.items()}}
    told |= {"data.kind": "kohya" if is_kohya(photos) else "folder"}
    if steps is not None:
        told["steps"] = steps
    if prior:
        told["prior.count"] = prior
    asked = [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in told.items()]
    run("personalize", out=folder, dry_run=dry_run, overrides=[*asked, *(overrides or [])])


def _proposed(folder: Path, model: str, kind: str) -> str:
    """The word that a run in the folder goes by; else the one that means least to the model, which is said."""
    import yaml

    from sfumato.model.load import load
    from sfumato.progress import say
    from sfumato.train.identifier import identifiers

    if (begun := folder / "recipe.yaml").is_file():
        said = yaml.safe_load(begun.read_text(encoding="utf-8"))
        if isinstance(said, dict) and said.get("subject"):
            say(f"--as auto: the run in {folder} calls it '{said['subject']}'")
            return str(said["subject"])
    found = identifiers(load(model, precision="float32"), kind)
    best, *others = found
    name = f"{best.word} {kind}".strip()
    told = ", ".join(f"{each.word} {100 * each.change:.1f} %" for each in others[:4])
    say(
        f"--as auto: prompts call it '{name}'; '{best.word}' changes what is painted by {100 * best.change:.1f} % of "
        f"what {kind or 'a prompt'} does" + (f", others by more: {told}" if told else "")
    )
    return name
