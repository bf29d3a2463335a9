"""A1111's hires. fix, as its text says it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sfumato.edit.hires_fix import LABELS, HiresFix, whole_walk
from sfumato.picture.errors import BadInput, printable
from sfumato.recipe.replay.said import COMPVIS, RESTART, number, steps_in, whole
from sfumato.times import LeadingGrid

WAYS = {label: way for way, label in LABELS.items()} | {"None": "lanczos"}
ASK = ("Hires upscale", "Hires resize")
OWN = {"Sampler": "Hires sampler", "Schedule type": "Hires schedule type", "CFG scale": "Hires CFG Scale"}
"""What the second walk may have of its own."""
WORDS = ("Hires prompt", "Hires negative prompt")
MODEL = "Hires checkpoint"
KNOWN = (*ASK, MODEL, *WORDS, *OWN.values(), "Hires upscaler", "Hires steps", "Hires Module 1", "Denoising strength")
"""What is read of it; anything else of a second walk's own is refused."""
CELL = 8


def read_hires(
    values: Mapping[str, str],
    size: tuple[int, int] | None,
    steps: int,
    first: Mapping[str, Any],
    last: Mapping[str, Any],
) -> tuple[HiresFix, tuple[int, int], int, tuple[str, ...]]:
    """The hires. fix of a picture that began at `size` in `steps`: the size and the steps that it ends with, and
    remarks. first, last: the walks, as `Said` has them. Raises BadInput for a second walk that can't be replayed.
    """
    if size is None or min(size) < CELL:
        raise BadInput("its hires. fix begins at no size")
    if MODEL in values and values[MODEL] != values.get("Model"):
        raise BadInput(f"its hires. fix has a model of its own ({printable(values[MODEL], 60)})")
    for sampler in (first["sampler"], last["sampler"]):
        if sampler in (RESTART, *COMPVIS):
            raise BadInput(f"its hires. fix is walked by {sampler}, which is not replayed")
    ends = _ends(values, size)
    by, remarks = values.get("Hires upscaler", "Latent"), list[str]()
    if by not in WAYS:
        remarks.append(
            f"it was enlarged by the network {printable(by, 60)}, which is not here: Lanczos takes its place"
        )
    way = WAYS.get(by, "lanczos")
    if not way.startswith("latent"):
        remarks.append("A1111 draws the enlarged picture's latents at random from their narrow distribution")
    strength = number(values, "Denoising strength", 0.75)
    second = steps_in(values, "Hires steps") if whole(values, "Hires steps", 0) else steps
    scale = max(ends[0] / size[0], ends[1] / size[1])
    if not 0 < strength <= 1:
        raise BadInput(f"its Denoising strength is {strength:g}: above 0 and up to 1 are replayed")
    asked = whole_walk(second, strength)
    if last["schedule"] == "DDIM" and LeadingGrid.reaching(asked)[1] != asked:
        raise BadInput(f"the second walk of its hires. fix begins between the noise levels of {asked} steps of DDIM's")
    fix = HiresFix(scale, strength, way, of="steps", first_steps=steps, unit=False)
    if fix.first_size(ends, CELL) != size:
        raise BadInput(f"its hires. fix goes from {size[0]}x{size[1]} to {ends[0]}x{ends[1]}, which cuts the picture")
    return fix, ends, second, tuple(remarks)


def second_walk(values: Mapping[str, str]) -> dict[str, str]:
    """The values with the second walk's sampler, schedule and scale for the first's, where it has any of its own."""
    own = {
        name: values[hires] for name, hires in OWN.items() if not values.get(hires, "Use same").startswith("Use same")
    }
    return {**values, **own}


def _ends(values: Mapping[str, str], size: tuple[int, int]) -> tuple[int, int]:
    """The size that it ends at, in whole cells: A1111 keeps the proportions where a side is 0."""
    width, height = size
    if "Hires resize" in values:
        found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", values["Hires resize"])
        to_width, to_height = (int(found[1]), int(found[2])) if found else (0, 0)
        if to_width == to_height == 0:
            raise BadInput(f"its Hires resize is {printable(values['Hires resize'], 60)}, which is no size")
        to_width, to_height = to_width or to_height * width // height, to_height or to_width * height // width
    else:
        scale = number(values, "Hires upscale", 2.0)
        if not 1 < scale <= 8:
            raise BadInput(f"its Hires upscale is {scale:g}: above 1 and up to 8 are replayed")
        to_width, to_height = int(width * scale), int(height * scale)
    return to_width // CELL * CELL, to_height // CELL * CELL
