"""The `parameters` text that A1111's web page writes into pictures, and that many tools read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sfumato.sample import Heun, Sampler
from sfumato.times import DiscardPenultimateGrid, RestartGrid, TimeGrid

if TYPE_CHECKING:
    from sfumato.recipe import Recipe


NAMES = ("Sampler", "Schedule type")
TAGS = {"lora": "lora", "hypernetwork": "hypernet"}  # adapters, as they stand in prompts there


def parameters(recipe: Recipe) -> str:
    """`prompt`, a line `Negative prompt: ...` if there is one, and a line of `Key: value` pairs joined by commas.

    A value that holds a comma, a colon or a newline is quoted as JSON, as A1111 does. The text is for other tools
    and for people: it names only what they know; the whole recipe stands beside it as JSON.
    """
    first = recipe.start.before(recipe) or recipe
    values: dict[str, object] = {"Steps": recipe.steps, **_walks(first, recipe), **_guided(first)}
    values["Seed"] = recipe.seed
    if recipe.width and recipe.height:
        values["Size"] = f"{recipe.width}x{recipe.height}"
        values |= recipe.start.first_walk(recipe.steps, (recipe.width, recipe.height))
    values["Model"] = recipe.model
    if recipe.label is not None:
        values["Label"] = recipe.label
    values |= recipe.start.infotext()
    if recipe.clip_skip > 1:
        values["Clip skip"] = recipe.clip_skip
    values |= recipe.emphasis.infotext()
    if recipe.refiner is not None:
        values |= recipe.refiner.infotext()
    values |= recipe.noise.infotext()
    if recipe.made is not None and recipe.made.sfumato:
        values["Version"] = f"sfumato {recipe.made.sfumato}"
    loras = [each for each in recipe.adapters if each.kind in TAGS]
    tags = "".join(f" <{TAGS[each.kind]}:{each.file.stem}:{each.weight:g}>" for each in loras)  # type: ignore[attr-defined]
    if hashes := [f"{each.file.stem}: {each.file.sha256[:12]}" for each in loras if each.kind == "lora"]:
        values["Lora hashes"] = ", ".join(hashes)
    values |= _told(first, recipe, tags)
    lines = [f"{first.prompt}{tags}", *([f"Negative prompt: {first.negative}"] if first.negative else [])]
    return "\n".join([*lines, ", ".join(f"{key}: {_quoted(value)}" for key, value in values.items())])


def _walks(first: Recipe, last: Recipe) -> dict[str, str]:
    """The sampler and the schedule with their options, and where a walk before has others, those, and the last's names
    as "Hires sampler" and "Hires schedule type"."""
    before, after = (_walk(each.sampler, each.times) for each in (first, last))
    if before == after:
        return after
    named = {name: said for name, said in after.items() if name in NAMES}
    options = {name: said for name, said in after.items() if name not in NAMES}
    return {**options, **before, **{f"Hires {name.lower()}": said for name, said in named.items()}}


def _guided(recipe: Recipe) -> dict[str, str]:
    said = {"CFG scale": "1"}
    for guidance in recipe.guidance:
        said |= guidance.infotext()
    return said


def _told(first: Recipe, last: Recipe, tags: str) -> dict[str, str]:
    """What the last of two walks is told that the first is not."""
    told = {
        "Hires prompt": (f"{first.prompt}{tags}", f"{last.prompt}{tags}"),
        "Hires negative prompt": (first.negative, last.negative),
        "Hires CFG Scale": (_guided(first)["CFG scale"], _guided(last)["CFG scale"]),
    }
    return {name: after for name, (before, after) in told.items() if before != after}


def _walk(sampler: Sampler, times: TimeGrid) -> dict[str, str]:
    """The sampler and the schedule as A1111 calls them, which knows that some discard a level, and a shift nowhere; and
    their options."""
    if times == RestartGrid() and sampler == Heun("kappa"):
        return {"Sampler": "Restart", "Schedule type": "Karras"}
    named = {"Sampler": Sampler.registry.label(sampler) or sampler.kind}
    plain = times.grid if isinstance(times, DiscardPenultimateGrid) else times
    if schedule := TimeGrid.registry.label(plain):
        named["Schedule type"] = schedule
    return named | sampler.infotext() | times.infotext()


def _quoted(value: object) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if any(c in text for c in ",:\n") else text
