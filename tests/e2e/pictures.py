"""The input pictures of the recorded recipes, and how a recipe is painted for the record."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw


def photograph(number: int, size: int = 64) -> Image.Image:
    """A picture that no code of ours draws, so that it never changes: soft noise in a few colours."""
    rng = np.random.default_rng(number)
    small = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((size, size), Image.Resampling.BICUBIC)


def hole(size: int = 64) -> Image.Image:
    """A mask: white in a box that is not a multiple of anything."""
    mask = Image.new("L", (size, size))
    ImageDraw.Draw(mask).rectangle((13, 9, 46, 39), fill=255)
    return mask


def soft(size: int = 64) -> Image.Image:
    """A mask that rises from left to right."""
    return Image.fromarray(np.tile(np.linspace(0, 255, size).round().astype(np.uint8), (size, 1)))


def painted(recipe: Any) -> np.ndarray:
    """The picture of a recipe, uint8 (H, W, 3)."""
    return np.asarray(_pipe(recipe.model, recipe.engine, recipe.precision).run(recipe).image)


@cache
def _pipe(model: str, engine: str, precision: str) -> Any:
    import sfumato

    return sfumato.load(model, engine=engine, precision=precision)


def machine() -> dict[str, str]:
    """What the bits of float32 depend on."""
    import torch

    capability = torch.backends.cpu.get_cpu_capability()
    return {"torch": torch.__version__, "cpu": capability, "processor": _processor()}


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return ""
