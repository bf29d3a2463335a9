"""From recipes to files: what can be refused is refused first, and every picture is saved as soon as it is painted."""

from __future__ import annotations

import json as json_format
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfumato.cli.common import default_output, note, print_json
from sfumato.picture.errors import printable
from sfumato.progress import progress, say

if TYPE_CHECKING:
    from PIL import Image

    from sfumato.model import Pipe
    from sfumato.recipe import Recipe
    from sfumato.recipe.capabilities import Capabilities


@dataclass(frozen=True)
class Running:
    """Where and how a model runs, as `sfumato.load` takes it."""

    device: str = "auto"
    precision: str = "auto"
    offload: str = "none"
    engine: str = "eager"


def make(
    recipes: Sequence[Recipe],
    tells: Capabilities,
    output: Path | None,
    json: bool,
    mask: Path | None = None,
    inputs: Iterable[Any] = (),
    running: Running | None = None,
) -> None:
    """Run `recipes`, write their pictures and, of several, a contact sheet; print the paths or one JSON object.

    tells: what their model can be told. mask: where to write the masks that were inferred. inputs: the files that were
    read, which nothing may overwrite. running: where and how the model runs.
    """
    from sfumato.network.offload import check_offload
    from sfumato.picture import check_outputs, numbered_paths, roomy, save_picture

    running = running or Running()
    output = output or default_output(recipes[0])
    paths = numbered_paths(output, len(recipes))
    page = output.with_name(f"{output.stem}-sheet{output.suffix}") if len(recipes) > 1 else None
    masks = [] if mask is None else numbered_paths(mask, len(recipes))
    check_outputs(inputs, [*paths, *masks, *([page] if page else [])])
    check_offload(running.offload)
    tells.fitted(recipes[0])  # refuse before torch is loaded
    began = time.perf_counter()
    painted: list[tuple[Path, Image.Image, Recipe]] = []
    found: list[Path] = []
    with _ended(), _told_of(painted, len(recipes)), progress(f"loading {recipes[0].model}") as advance:
        pipe = _ready(recipes[0], paths[0], running)
        as_loaded = {"engine": pipe.engine, "precision": pipe.precision, "vae": pipe.vae}
        recipes = [replace(recipe, **as_loaded) for recipe in recipes]
        for step in pipe.steps(recipes):
            advance(done=step.index, total=step.total, title="painting")
            if step.done is None:
                continue
            with _saving():
                here_paths = step.done.save_as(paths[len(painted) : len(painted) + len(step.done.images)])
                for each, path in zip(step.done.masks, masks[len(painted) :], strict=False):
                    if each is not None:
                        found.append(save_picture(each, roomy(path, each.size)))
                painted += zip(here_paths, step.done.images, step.done.recipes, strict=True)
    if page is not None:
        from sfumato.model.result import sheet

        whole = sheet([image for _, image, _ in painted])
        page = save_picture(whole, roomy(page, whole.size))
    if json:
        print_json(
            {
                "pictures": [_described(*each) for each in painted],
                "masks": [str(path) for path in found],
                "sheet": str(page) if page else None,
                "seconds": round(time.perf_counter() - began, 3),
            }
        )
    else:
        print(*(path for path, *_ in painted), *found, *([page] if page else []), sep="\n")


@contextmanager
def _ended() -> Iterator[None]:
    """Inside, a SIGTERM ends the run as an interrupt does: what is painted is told, and nothing is half written."""

    def end(number: int, _: Any) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _saving() -> Iterator[None]:
    """Inside, an interrupt waits: what a batch has painted is saved whole, and counted, before it comes."""
    caught: list[int] = []
    before = {s: signal.signal(s, lambda number, _: caught.append(number)) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if caught:
        signal.raise_signal(caught[0])


@contextmanager
def _told_of(painted: Sequence[tuple[Path, Image.Image, Recipe]], count: int) -> Iterator[None]:
    """Where the run ends early, by a signal or an error, says which pictures there are."""
    try:
        yield
    except BaseException:
        if painted:
            these = str(painted[0][0]) if len(painted) == 1 else f"{painted[0][0]} to {painted[-1][0]}"
            say(f"{len(painted)} of {count} pictures are saved: {printable(these, 300)}")
        raise


def _ready(first: Recipe, path: Path, running: Running) -> Pipe:
    """The pipe, after everything that can be refused has been."""
    from sfumato.model import POOL, load
    from sfumato.picture import check_metadata, check_size, original
    from sfumato.recipe import parameters

    pipe = load(first.model, vae=first.vae, tile=first.tile, pool=POOL, recipe=first, **vars(running))
    as_loaded = {"engine": pipe.engine, "precision": pipe.precision, "vae": pipe.vae}
    first = replace(first, **as_loaded)  # pyright: ignore[reportArgumentType]
    resolved = pipe.resolve(first)
    like = None if resolved.held is None else original(resolved.held)
    whole = resolved.held if resolved.hold is not None or resolved.area is not None else None  # it keeps its own size
    check_size(path, (resolved.width or 0, resolved.height or 0) if whole is None else whole.size)
    check_metadata(path, resolved.to_json(), parameters(resolved), like=like)
    _note(resolved)
    return pipe


def _note(recipe: Recipe) -> None:
    """Remarks on a resolved recipe: a size that is not its picture's, a mask that leaves nothing to paint."""
    mask = None if recipe.hold is None else recipe.hold.shaped()
    if mask is not None and mask.getbbox() is None:
        note("the mask is black everywhere, so nothing is repainted; what is to change must be white")
        return
    source = getattr(recipe.start, "picture", None)
    box = recipe.area and recipe.area.box
    size = source and (source.size if box is None else (box[2] - box[0], box[3] - box[1]))
    if recipe.held and box and mask is None:
        left, top, right, bottom = box
        note(
            f"of the picture's {recipe.held.width} x {recipe.held.height} the part {right - left} x {bottom - top} at "
            f"({left}, {top}) is edited, which has the proportions of {recipe.width} x {recipe.height}"
        )
    elif size is not None and size != (recipe.width, recipe.height):
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
