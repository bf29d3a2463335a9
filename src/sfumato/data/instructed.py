"""Pictures that the built-in world draws as they are after an instruction, and as they were before it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sfumato.data import array_cache
from sfumato.data.dataset import Dataset, Span, kept, register
from sfumato.data.world import World, world_version

Which = Literal["before", "after"]


@register
class Instructed(World):
    """Edits [first, first + count) of the world `seed`: the changed pictures, their captions the instructions."""

    kind: Literal["instructions"] = "instructions"

    def open(self, held_back: int, home: Path, workers: int, grey: bool = False) -> tuple[Dataset, Dataset]:
        """See `DataSource`."""
        return self._pictures("after", held_back, home, workers)

    def before(self, held_back: int, home: Path, workers: int) -> tuple[Dataset, Dataset]:
        """The pictures of `open` as they were before, in the same order."""
        return self._pictures("before", held_back, home, workers)

    def _pictures(self, which: Which, held_back: int, home: Path, workers: int) -> tuple[Dataset, Dataset]:
        first, second = (_drawn(each, which, home, workers) for each in (self, self.after(held_back)))
        return first, second


def _drawn(data: Instructed, which: Which, home: Path, workers: int) -> Dataset:
    code = Path(str(resources.files("sfumato.data.vignettes"))) / "instructions.py"
    key = array_cache.digest(data.model_dump(mode="json"), world_version(), code.read_text(encoding="utf-8"))
    said = array_cache.lines(home, "instructions", key, lambda: _said(data))
    work = partial(_draw, which, data.seed, data.first, data.size, data.split)
    drawn = kept(home, which, key, data.size, data.count, workers, work)
    return Dataset(drawn, said, f"{key}-{which}")


def _said(data: Instructed) -> Iterator[list[str]]:
    from sfumato.data.vignettes.instructions import edit

    for index in range(data.first, data.first + data.count):
        yield list(edit(data.seed, index, data.split).instructions)


def _draw(which: Which, seed: int, first: int, size: int, split: Any, span: Span) -> np.ndarray:
    from sfumato.data.vignettes import draw
    from sfumato.data.vignettes.instructions import edit, pictures

    edits = [edit(seed, first + i, split) for i in range(*span)]
    if which == "before":
        return np.stack([draw(each.before, size, truth=False).image for each in edits])
    return np.stack([pictures(each, size)[1] for each in edits])
