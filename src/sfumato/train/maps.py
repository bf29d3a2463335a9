"""The maps that a control is trained on, of all pictures of a recipe's data: drawn, found or given, and kept."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sfumato.data import control_maps
from sfumato.data.array_cache import digest
from sfumato.data.dataset import Dataset, DataSource, Span, kept
from sfumato.data.folder import Beside, Folder
from sfumato.data.world import Vignettes
from sfumato.picture import BadInput
from sfumato.train.task import Place


def maps_of(
    name: str, given: Beside | None, data: DataSource, sets: tuple[Dataset, Dataset], place: Place, workers: int
) -> tuple[np.ndarray, np.ndarray]:
    """The maps called `name`, uint8 (n, S, S, 3), of the pictures to train on and of those held back.

    Of vignettes they are drawn from their truth; of other pictures they stand beside them where `given` says, or are
    found in them by a filter. BadInput where there is none of that.
    """
    if given is not None:
        if not isinstance(data, Folder):
            raise BadInput(f"given: maps can be given beside pictures of a folder, and data is of kind '{data.kind}'")
        held_back = len(sets[1])
        first, second = data.beside(given, held_back, place.cache, workers)
        return first.pictures, second.pictures
    control_maps.check(name)
    if isinstance(data, Vignettes):
        parts = data, data.after(len(sets[1]))
        works: list[Any] = [partial(_drawn, name, each.seed, each.first, each.size, each.split) for each in parts]
    else:
        works, workers = [partial(_found, name, source.pictures) for source in sets], 1
    code = Path(control_maps.__file__).read_text(encoding="utf-8")
    first, second = (
        kept(place.cache, f"maps-{name}", digest(name, source.key, code), data.size, len(source), workers, work)
        for source, work in zip(sets, works, strict=True)
    )
    return first, second


def _drawn(name: str, seed: int, first: int, size: int, split: Any, span: Span) -> np.ndarray:
    from sfumato.data.vignettes import draw, scene

    return np.stack([control_maps.drawn(name, draw(scene(seed, first + i, split), size)) for i in range(*span)])


def _found(name: str, pictures: np.ndarray, span: Span) -> np.ndarray:
    return np.stack([control_maps.filtered(name, picture) for picture in pictures[slice(*span)]])
