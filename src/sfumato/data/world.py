"""Pictures to train on that the built-in world draws, with their captions."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from sfumato.data import array_cache, vignettes
from sfumato.data.dataset import Dataset, DataSource, Span, kept, register
from sfumato.element.section import Count, Few

NOT_DRAWING = {"export.py", "instructions.py"}
"""Files of the vignettes' room on which no picture of a scene depends."""


class World(DataSource):
    """What the built-in world draws: indices [first, first + count) of the world `seed`."""

    seed: Count = 0
    first: Count = 0
    count: Annotated[int, Field(gt=0, le=10_000_000)] = 20_000
    size: Annotated[int, Field(ge=16, le=1024)] = 64
    split: Literal["seen", "held-out", "any"] = "seen"

    def after(self, count: int) -> Self:
        """The `count` pictures that follow these."""
        return self.model_copy(update={"first": self.first + self.count, "count": count})


@register
class Vignettes(World):
    """Pictures drawn by the built-in world, of which everything is known.

    `repeat` says of attributes, such as {mask: 3}, how many times as often the pictures that have them come; `focus` of
    things, such as {glasses: 5}, how many times as much a cell counts in a diffusion's loss that they fill.
    """

    kind: Literal["vignettes"] = "vignettes"
    repeat: dict[str, Few] = Field(default_factory=dict)
    focus: dict[str, Annotated[float, Field(ge=0, le=100)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known_attributes(self) -> Vignettes:
        for name in self.repeat:
            if name not in vignettes.ATTRIBUTES:
                raise ValueError(
                    f"repeat: there is no attribute '{name}'; accepted are {', '.join(vignettes.ATTRIBUTES)}"
                )
        for name in self.focus:
            if name not in vignettes.SEMANTIC_NAMES:
                raise ValueError(f"focus: there is no '{name}'; accepted are {', '.join(vignettes.SEMANTIC_NAMES)}")
        return self

    def drawn(self) -> dict[str, Any]:
        """What its pictures depend on: all but how often they come and how much their cells count."""
        return self.model_dump(mode="json", exclude={"repeat", "focus"})

    def open(self, held_back: int, home: Path, workers: int, grey: bool = False) -> tuple[Dataset, Dataset]:
        """See `DataSource`; what is held back follows what is trained on."""
        return _drawn(self, home, workers), _drawn(self.after(held_back), home, workers)


def _drawn(data: Vignettes, home: Path, workers: int) -> Dataset:
    key = array_cache.digest(data.drawn(), world_version())
    captions = array_cache.lines(home, "captions", key, lambda: _captions(data))
    work = partial(_draw, data.seed, data.first, data.size, data.split)
    pictures = kept(home, "vignettes", key, data.size, data.count, workers, work)
    return Dataset(pictures, captions, key)


def order(data: object, count: int) -> np.ndarray:
    """Indices of the `count` pictures; those that have attributes of `data.repeat` as often as the largest says."""
    if not (isinstance(data, Vignettes) and data.repeat):
        return np.arange(count)

    def times(index: int) -> int:
        scene = vignettes.scene(data.seed, index, data.split)
        return max((n for name, n in data.repeat.items() if scene[name] != "none"), default=1)

    return np.repeat(np.arange(count), [times(data.first + i) for i in range(count)])


def _captions(data: Vignettes) -> Iterator[list[str]]:
    for index in range(data.first, data.first + data.count):
        yield list(vignettes.scene(data.seed, index, data.split).captions)


def _draw(seed: int, first: int, size: int, split: Any, span: Span) -> np.ndarray:
    scenes = (vignettes.scene(seed, first + i, split) for i in range(*span))
    return np.stack([vignettes.draw(scene, size, truth=False).image for scene in scenes])


def world_version() -> str:
    """A hash of the code that draws: pictures that were cached with other code are drawn again."""
    files = sorted(Path(str(resources.files("sfumato.data.vignettes"))).rglob("*.py"))
    return array_cache.digest([path.read_text(encoding="utf-8") for path in files if path.name not in NOT_DRAWING])
