"""How much each cell of a vignette counts in a loss, by what is drawn there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sfumato.data import array_cache, vignettes

if TYPE_CHECKING:
    from sfumato.data.world import Vignettes

PIXELS = 4  # a side of a cell, in the maps that are looked at


def cell_counts(data: Vignettes, side: int, key: str, home: Path) -> np.ndarray | None:
    """(n, side, side): 1 + sum over the things of `data.focus` of their share of the cell times (focus - 1); None where
    all cells count alike. Drawn from the vignettes' own semantic maps and kept in `home`; key: that of the pictures."""
    if not data.focus:
        return None
    more = np.zeros(len(vignettes.SEMANTIC_NAMES), np.float32)
    for name, times in data.focus.items():
        more[vignettes.SEMANTIC_NAMES.index(name)] = times - 1

    def compute(spans: list[tuple[int, int]]) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        for start, stop in spans:
            yield start, {"focus": np.stack([_counts(data, index, side, more) for index in range(start, stop)])}

    named = array_cache.digest(key, data.focus, side)
    return array_cache.arrays(home, "focus", named, {"focus": ((side, side), np.float16)}, compute, data.count)["focus"]


def _counts(data: Vignettes, index: int, side: int, more: np.ndarray) -> np.ndarray:
    scene = vignettes.scene(data.seed, data.first + index, data.split)
    things = vignettes.draw(scene, side * PIXELS).semantic
    assert things is not None
    return 1 + more[things].reshape(side, PIXELS, side, PIXELS).mean((1, 3))
