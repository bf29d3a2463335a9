"""The same pixels again, from the recipe that a picture carries."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sfumato.adapt import Adapter, AdapterFile, open_file
from sfumato.picture import BadInput, open_picture, path_of, pixels_hash, read_metadata
from sfumato.picture.errors import name_of, printable
from sfumato.provenance.replay import replayed
from sfumato.recipe import Made, Recipe
from sfumato.zoo import built_ins
from sfumato.zoo.find import file_of, joined, parted

_VERSIONS = ("sfumato", "torch", "diffusers", "python")


@dataclass(frozen=True)
class Redone:
    """A picture made again. `difference` is the largest absolute difference in 0..255 from what it was compared with,
    None where there was nothing of the same size to compare with; `verdict` says it in words, and `reason` what is
    other than it was, as "other weights": empty where nothing is or nothing is known."""

    image: Image.Image
    recipe: Recipe
    identical: bool
    difference: int | None
    verdict: str
    reason: str = ""
    remarks: tuple[str, ...] = ()  # on what another tool did otherwise


def recipe_in(picture: str | os.PathLike[str]) -> Recipe:
    """The recipe inside a picture file; `BadInput` if there is none, or none that can be trusted to be one."""
    found = read_metadata(picture)
    if "recipe" not in found:
        raise BadInput(f"{name_of(picture)} holds no recipe: only pictures that sfumato saved can be made again")
    try:
        return Recipe.from_json(found["recipe"])
    except BadInput as error:
        raise BadInput(f"{name_of(picture)}: {error}") from None


def recipe_or_replay(
    picture: str | os.PathLike[str],
    model: str | None,
    places: Sequence[Path] = (),
    *,
    refiner: str | None = None,
    allow_pickle: bool = False,
) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe inside a picture file, or that of a picture of another tool, with remarks on what is otherwise; its
    files are looked for among `places`, files and folders of files, first."""
    if "recipe" in read_metadata(picture):
        recipe = recipe_in(picture)
        return _moved(recipe, model, refiner), ()
    found = replayed(picture, model, places, refiner=refiner, allow_pickle=allow_pickle)
    return found or (recipe_in(picture), ())


def _moved(recipe: Recipe, model: str | None, refiner: str | None) -> Recipe:
    """The recipe with its models where they are now. Raises BadInput for a refiner where it has none."""
    moved = recipe if model is None else replace(recipe, model=model)
    if refiner is None:
        return moved
    if recipe.refiner is None:
        raise BadInput("It was made with one model, and no refiner took over: leave --refiner out.")
    return replace(moved, refiner=replace(recipe.refiner, model=refiner))


def redo(
    source: str | os.PathLike[str] | Recipe,
    *,
    model: str | None = None,
    refiner: str | None = None,
    device: str | None = None,
    offload: str = "none",
    files: Sequence[AdapterFile] = (),
    folders: Sequence[Path] = (),
    allow_pickle: bool = False,
    on_step: Callable[[Any], None] | None = None,
) -> Redone:
    """Make the picture of `source` (a picture file, or a recipe) again and compare the pixels, max |a - b|.

    `model` says where the recipe's model is now, and `refiner` where the one is that takes over. Without it a recipe
    from a file may name a built-in model or a folder that is here, but never makes this machine fetch anything: a
    stranger wrote it. That holds for every other model that it names, as guidances do. It runs on the `device` on which
    the picture was made, if it is here; `offload` is `load`'s and changes no pixel. `files` are those of its adapters
    where they are now, or what takes their places, which `reason` says; in `folders` they are looked for by their
    names. `on_step` hears every step.

    A picture of A1111's web page, InvokeAI or a plain graph of ComfyUI is replayed with the `model` that is given: see
    `sfumato.recipe.replay`. The LoRAs and learned words that it names are looked for among `files` and in `folders`.

    Compared is with the recorded hash first, then with the pixels of the file. Exactly the same weights, versions,
    engine and machine give identical pixels; others usually differ by at most 1 of 255.
    """
    original, remarks = None, ()
    if isinstance(source, Recipe):
        recipe = _moved(source, model, refiner)
    else:
        places = [*(file.path for file in files), *folders]
        recipe, remarks = recipe_or_replay(source, model, places, refiner=refiner, allow_pickle=allow_pickle)
        original = open_picture(source)
        _check_local(recipe, model is not None, name_of(source))
    recorded = recipe.made.pixels if recipe.made is not None else ""
    there = _in_folders(recipe.adapters, folders, allow_pickle)
    adapters, exchanged = _with_files(recipe.adapters, [*files, *there])
    todo = replace(recipe, made=None, adapters=adapters)
    image, finished = _run(todo, on_step, device or _recorded(recipe.made), offload)
    found = replace(_compare(image, finished, recorded, original), remarks=remarks)
    if found.identical:
        return found
    return replace(found, reason=" and ".join(filter(None, (*exchanged, other(recipe.made, finished.made)))))


def _in_folders(adapters: Sequence[Adapter], folders: Sequence[Path], allow_pickle: bool) -> list[AdapterFile]:
    """The files of adapters that lie in folders under their names."""
    paths = ((folder / each.file.name for folder in folders) for each in adapters)
    found = (next((path for path in places if path.is_file()), None) for places in paths)
    return [open_file(path, allow_pickle=allow_pickle) for path in found if path is not None]


def _with_files(
    adapters: Sequence[Adapter], files: Sequence[AdapterFile]
) -> tuple[tuple[Adapter, ...], tuple[str, ...]]:
    """The adapters with their files where those are here, else with files of the same names, else with those that are
    left, in their order; and which are others than they were. Raises BadInput for a file that has no adapter."""
    by_hash = {file.sha256: file for file in files}
    left = [file for file in files if file.sha256 not in {each.file.sha256 for each in adapters}]
    found, said = [], []
    for adapter in adapters:
        file = by_hash.get(adapter.file.sha256)
        if file is None and left:
            file = next((each for each in left if each.name == adapter.file.name), left[0])
            left.remove(file)
            said.append(f"another {adapter.file.name} ({adapter.file.sha256[:12]}, here {file.sha256[:12]})")
        found.append(replace(adapter, file=file or adapter.file))
    if left:
        raise BadInput(f"{left[0].name} belongs to no adapter of the recipe: leave it out.")
    return tuple(found), tuple(said)


def _recorded(made: Made | None) -> str:
    """The device on which a picture was made, if this machine has such a one; the quickest there is otherwise."""
    from sfumato.network.device import check_device

    try:
        return check_device(made.device) if made is not None and made.device else "auto"
    except BadInput:
        return "auto"


def other(then: Made | None, now: Made | None) -> str:
    """What is other now than it was then, of the things that change pixels; empty if nothing is or nothing is known."""
    if then is None or now is None:
        return ""
    said = []
    if then.weights and now.weights and then.weights != now.weights:
        said.append("other weights")
    for old, new in ((then.device, now.device), (then.processor, now.processor)):
        if old and new and old != new:
            said.append(f"another machine ({old}, here {new})")
            break
    if then.threads and now.threads and then.threads != now.threads:
        said.append(f"another number of threads ({then.threads}, here {now.threads})")
    for name in (*_VERSIONS, "engine", "runtime", "precision"):
        old, new = getattr(then, name), getattr(now, name)
        if old and new and old != new:
            said.append(f"another {'version of ' if name in _VERSIONS else ''}{name} ({old}, here {new})")
    return printable(" and ".join(said), 500)


def _run(
    recipe: Recipe, on_step: Callable[[Any], None] | None, device: str, offload: str
) -> tuple[Image.Image, Recipe]:
    from sfumato.model import POOL, load

    options = {"pool": POOL, "device": device, "vae": recipe.vae, "tile": recipe.tile, "offload": offload}
    pipe = load(recipe.model, engine=recipe.engine, precision=recipe.precision, **options)
    result = None
    for step in pipe.steps([recipe]):
        result = step.result
        if on_step is not None:
            on_step(step)
    assert result is not None
    return result.images[0], result.recipes[0]


def _check_local(recipe: Recipe, given: bool, name: str) -> None:
    """Raises `BadInput` for a model that is not on this machine. given: the user says where the recipe's own is."""
    here = (
        name in built_ins() or file_of(name) is not None or path_of(name).is_dir()
        for name, _ in map(parted, joined(recipe.model))
    )
    if not given and not all(here):
        raise BadInput(
            f"{name} was made with the model {printable(repr(recipe.model), 100)}, which is neither built in nor a "
            "folder here: say where it is with --model"
        )


def _compare(image: Image.Image, recipe: Recipe, recorded: str, original: Image.Image | None) -> Redone:
    same_as_recorded = bool(recorded) and pixels_hash(image) == recorded
    untouched = original is not None and (not recorded or pixels_hash(original) == recorded)
    difference = None
    if original is not None and original.size == image.size:
        difference = int(np.abs(np.asarray(original, np.int16) - np.asarray(image, np.int16)).max())
    if same_as_recorded:
        if original is None or untouched:
            return Redone(image, recipe, True, 0, "identical")
        return Redone(image, recipe, True, difference, "identical to what was made; the file's own pixels are others")
    if difference == 0:
        return Redone(image, recipe, True, 0, "identical")
    if difference is not None:
        verdict = f"differs by at most {difference} of 255"
        return Redone(image, recipe, False, difference, verdict if untouched else f"{verdict} from the file")
    verdict = "of another size than the file" if original is not None else "differs from what was recorded"
    return Redone(
        image, recipe, False, None, verdict if recorded or original is not None else "nothing to compare with"
    )
