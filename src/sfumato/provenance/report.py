"""What stands in a picture, for people and for machines."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any, Literal

from sfumato.picture import BadInput, open_picture, pixels_hash, read_metadata
from sfumato.picture.errors import name_of, printable
from sfumato.recipe import Recipe
from sfumato.recipe.capabilities import Suits

State = Literal["untouched", "changed", "lossy", "unknown"]
_SAID = {
    "untouched": "untouched: the pixels are those that were made",
    "changed": "changed since it was made: the pixels are others",
    "lossy": "JPEG keeps pixels only roughly, so a change can't be told",
    "unknown": "no record of how it was made",
}


@dataclass(frozen=True)
class PictureReport:
    """What a picture file holds. `recipe_error` says why a recipe that is there can't be read; `replay` of a picture of
    another tool, whether and how it can be made again."""

    path: str
    format: str
    width: int
    height: int
    pixels: str
    state: State
    recipe: Recipe | None = None
    parameters: str | None = None
    recipe_error: str | None = None
    replay: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return found | {"recipe": json.loads(self.recipe.to_json()) if self.recipe else None}

    def text(self) -> str:
        """For people: a line each, nothing that is at its default and says nothing."""
        lines = [f"{self.path}: {self.format}, {self.width} x {self.height}", self.replay or _SAID[self.state]]
        if self.recipe_error:
            lines.append(self.recipe_error)
        if self.recipe is not None:
            lines += _recipe_lines(self.recipe)
        elif self.parameters:
            lines += ["parameters:", *(f"  {line}" for line in self.parameters.splitlines())]
        return "\n".join("".join(c if c.isprintable() else "?" for c in line) for line in lines)


def inspect(path: str | os.PathLike[str]) -> PictureReport:
    """Read the metadata of a picture and compare its pixels with the recorded hash; `BadInput` if it is no picture.

    state: "untouched" (the recorded hash holds), "changed", "lossy" (a JPEG: its pixels never match), "unknown" (no
    recipe, or one without a record of the result).
    """
    found = read_metadata(path)
    pixels = pixels_hash(open_picture(path))
    recipe, error = None, None
    if "recipe" in found:
        try:
            recipe = Recipe.from_json(found["recipe"])
        except BadInput as bad:
            error = f"its recipe can't be read: {bad}"
    recorded = recipe.made.pixels if recipe is not None and recipe.made is not None else ""
    state: State = "unknown"
    if recorded:
        lossy = found["format"] in ("JPEG", "MPO")
        state = "untouched" if recorded == pixels else "lossy" if lossy else "changed"
    return PictureReport(
        path=name_of(path),
        format=found["format"],
        width=found["width"],
        height=found["height"],
        pixels=pixels,
        state=state,
        recipe=recipe,
        parameters=found.get("parameters"),
        recipe_error=error,
        replay=None if "recipe" in found else _replay(found),
    )


def _replay(found: dict[str, Any]) -> str | None:
    """Whether a picture of another tool can be made again; None for one that says nothing."""
    from sfumato.provenance.replay import READERS

    key = next((key for key in READERS if key in found), None)
    if key is None:
        return None
    try:
        said = READERS[key](found[key])
    except BadInput as bad:
        return f"made by another tool, and not to be made again here: {bad}"
    model = printable(said.model or "it does not name", 100)
    return f"made by {said.tool} with the model {model}: `sfumato redo --model MODEL` makes it again"


FURTHER = ("source", "area", "attention", "images", "layout", "regions", "controls", "adapters", "stages", "refiner")
"""Fields of a recipe that are said where there is anything in them."""


def _recipe_lines(recipe: Recipe) -> list[str]:
    words = {"prompt": recipe.prompt, "negative": recipe.negative, "label": recipe.label}
    lines = [f"{name}: {said}" for name, said in words.items() if said not in ("", None)]
    lines.append(f"model: {recipe.model}, {recipe.width} x {recipe.height}, seed {recipe.seed}")
    lines.append(f"start: {_part(recipe.start)}")
    if recipe.hold is not None:
        lines.append(f"hold: {_part(recipe.hold)}, composite {_part(recipe.composite)}")
    lines += [f"{name}: {_told(getattr(recipe, name))}" for name in FURTHER if getattr(recipe, name)]
    if recipe.clip_skip > 1:
        lines.append(f"clip skip: {recipe.clip_skip}")
    lines += walk_lines(recipe)
    lines.append(f"engine: {recipe.engine}, {recipe.precision}")
    if recipe.made is not None:
        made = recipe.made
        versions = (
            ("sfumato", made.sfumato),
            ("torch", made.torch),
            ("diffusers", made.diffusers),
            ("Python", made.python),
        )
        told = ", ".join(f"{name} {version}" for name, version in versions if version)
        lines.append(f"made with: {told or 'unknown versions'}, in {made.seconds:g} s")
    return lines


def _named(part: Any) -> str:
    """`ddim (eta 0.5)`: a sampler or a grid by its name, with the options that are not what the name stands for."""
    name = part.registry.name(part)
    plain = part.registry.named(name)
    options = [field for field in part.__dataclass_fields__ if getattr(part, field) != getattr(plain, field)]
    said = ", ".join(f"{field} {getattr(part, field)}" for field in options)
    return f"{name} ({said})" if said else name


def walk_lines(walk: Recipe | Suits) -> list[str]:
    """Guidance, sampler, steps and times of a recipe, or those that suit a model, in two lines."""
    return [
        f"guidance: {', '.join(map(_part, walk.guidance)) or 'none'}",
        f"sampler: {_named(walk.sampler)}, {walk.steps} steps, times {_named(walk.times)}",
    ]


def _part(part: Any) -> str:
    """`sdedit(strength 0.6, picture 1a2b...)`"""
    values = []
    for name in part.__dataclass_fields__:
        value = getattr(part, name)
        if name == "kind" or value in (None, ""):
            continue
        elements = isinstance(value, tuple) and any(hasattr(each, "kind") for each in value)
        values.append(f"{name} {_told(value) if elements or hasattr(value, 'kind') else _shown(value)}")
    said = f"({', '.join(values)})" if values else ""
    return f"{getattr(part, 'kind', '')} {said}".strip()


def _told(value: Any) -> str:
    """An element, a picture, or several of either."""
    if isinstance(value, tuple):
        return ", ".join(map(_told, value))
    return _shown(value) if hasattr(value, "sha256") or not hasattr(value, "__dataclass_fields__") else _part(value)


def _shown(value: Any) -> str:
    if hasattr(value, "stem"):  # a file of an adapter
        return f"{value.name} {value.sha256[:12]}"
    return f"{value.sha256[:12]} {value.width} x {value.height}" if hasattr(value, "sha256") else f"{value}"
