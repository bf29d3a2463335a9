"""From options to recipes, and from recipes to files: what generate and edit share."""

from __future__ import annotations

import json as json_format
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

    from sfumato.recipe import Recipe

MOST = 1000  # pictures in one command


def named(name: str) -> str:
    """How a wish of `sfumato.recipe.intent` is called on the command line."""
    return f"--{OPTIONS.get(name, name).replace('_', '-')}"


OPTIONS = {"shows": "from", "other": "with"}  # wishes whose options have other names


def wishes(options: Mapping[str, Any], of: str) -> dict[str, Any]:
    """What the function `of` of `sfumato.recipe.intent` takes, out of a command's options.

    Raises BadInput where nothing is said to a model of words.
    """
    from inspect import signature

    from sfumato.formats import capabilities_of
    from sfumato.picture import BadInput
    from sfumato.recipe import intent
    from sfumato.zoo.find import find

    takes = signature(getattr(intent, of)).parameters.keys() | signature(intent.generate).parameters.keys()
    if options["prompt"] is None and options.get("label") is None and capabilities_of(find(options["model"])).text:
        raise BadInput(f"{options['model']} paints from words: give a prompt that says what the picture is to show")
    return {**{name: value for name, value in options.items() if name in takes}, "named": named}


def recipes_of(recipe: Recipe, count: int) -> list[Recipe]:
    """`count` recipes with the seeds seed, seed + 1, ..."""
    from sfumato.picture import BadInput
    from sfumato.recipe.intent import each

    if not 1 <= count <= MOST:
        raise BadInput(f"--count is {count}: give a whole number from 1 to {MOST}")
    return each(recipe, count)


def default_output(recipe: Recipe) -> Path:
    """out/WORDS-SEED.png"""
    words = re.sub(r"[^a-z0-9]+", "-", f"{recipe.prompt} {recipe.label or ''}".lower())[:40].strip("-")
    return Path("out") / f"{words or 'picture'}-{recipe.seed}.png"


def note(sentence: str) -> None:
    """A remark on stderr."""
    print(f"sfumato: note: {sentence}", file=sys.stderr)


def print_json(value: Any) -> None:
    """The one JSON object of a command."""
    print(json_format.dumps(value, ensure_ascii=False))


@contextmanager
def hushed() -> Iterator[None]:
    """Silence libraries that write to file descriptor 2 themselves, as libtiff does; Python is still heard."""
    if sys.stderr is None:  # closed by the caller
        yield
        return
    sys.stderr.flush()
    heard = open(os.dup(2), "w", encoding="utf-8", errors="backslashreplace", buffering=1)  # noqa: SIM115
    with heard, open(os.devnull, "w") as silence, redirect_stderr(heard):
        os.dup2(silence.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(heard.fileno(), 2)


@contextmanager
def progress(what: str) -> Iterator[Any]:
    """A progress bar on stderr; where stderr is no terminal, nothing. Yields `update(index, total, what=None)`."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)

        def update(index: int, total: int, what: str | None = None) -> None:
            bar.update(task, completed=index, total=total, description=what)

        yield update


def make(recipes: list[Recipe], output: Path | None, json: bool, mask: Path | None = None) -> None:
    """Run `recipes`, write their pictures and, of several, a contact sheet; print the paths or one JSON object.

    `mask`: where to write the masks that were inferred.
    """
    from sfumato.formats import capabilities_of
    from sfumato.picture import check_writable, numbered, save_picture
    from sfumato.zoo.find import find, here

    output = output or default_output(recipes[0])
    paths = [check_writable(path) for path in numbered(output, len(recipes))]
    page = check_writable(output.with_name(f"{output.stem}-sheet{output.suffix}")) if len(recipes) > 1 else None
    masks = [] if mask is None else [check_writable(path) for path in numbered(mask, len(recipes))]
    if here(recipes[0].model) is not None:
        capabilities_of(find(recipes[0].model)).fitted(recipes[0])  # refuse before torch is loaded
    began = time.perf_counter()
    with progress(f"loading {recipes[0].model}") as update:
        result = _run(recipes, update)
    result.save(output)
    found = zip(result.masks, masks, strict=False)
    masks = [save_picture(each, path) for each, path in found if each is not None]
    if page is not None:
        from sfumato.model.result import sheet

        save_picture(sheet(result.images), page)
    if json:
        print_json(
            {
                "pictures": [_described(*each) for each in zip(paths, result.images, result.recipes, strict=True)],
                "masks": [str(path) for path in masks],
                "sheet": str(page) if page else None,
                "seconds": round(time.perf_counter() - began, 3),
            }
        )
    else:
        print(*paths, *masks, *([page] if page else []), sep="\n")


def _run(recipes: list[Recipe], update: Any) -> Any:
    import sfumato

    first = recipes[0]
    pipe = sfumato.load(first.model, engine=first.engine, precision=first.precision)
    resolved = pipe.resolve(first)
    _note(resolved)
    result = None
    for step in pipe.steps(recipes):
        update(step.index, step.total, "painting")
        result = step.result
    return result


def _note(recipe: Recipe) -> None:
    """Remarks on a resolved recipe: a size that is not its picture's, a mask that leaves nothing to paint."""
    mask = None if recipe.hold is None else recipe.hold.shaped()
    if mask is not None and mask.getbbox() is None:
        note("the mask is black everywhere, so nothing is repainted; what is to change must be white")
        return
    source = getattr(recipe.start, "picture", None)
    box = recipe.area and recipe.area.box
    size = source and (source.size if box is None else (box[2] - box[0], box[3] - box[1]))
    if size is not None and size != (recipe.width, recipe.height):
        what = "picture" if box is None else "part around the mask"
        note(
            f"the {what} is {size[0]} x {size[1]} and is edited at {recipe.width} x {recipe.height}, "
            "which suits the model; --size chooses another"
        )


def _described(path: Path, image: Image.Image, recipe: Recipe) -> dict[str, Any]:
    return {
        "path": str(path),
        "seed": recipe.seed,
        "width": image.width,
        "height": image.height,
        "recipe": json_format.loads(recipe.to_json()),
    }
