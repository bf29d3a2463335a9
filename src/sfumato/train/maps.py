"""The maps that a control is trained on, of all pictures of a recipe's data: as `sfumato.control.maps` draws them, so
that a network is shown in a run what it was shown in training."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sfumato.control import ControlMap, maps
from sfumato.data.array_cache import digest
from sfumato.data.dataset import Dataset, DataSource, Span, kept
from sfumato.data.folder import Beside, Folder
from sfumato.data.vignettes import scene
from sfumato.data.world import Vignettes
from sfumato.evaluate.adherence import Drawn
from sfumato.picture import BadInput
from sfumato.train.task import Place


def maps_of(
    name: str, given: Beside | None, data: DataSource, sets: tuple[Dataset, Dataset], place: Place, workers: int
) -> tuple[np.ndarray, np.ndarray]:
    """The maps called `name`, uint8 (n, S, S, 3), of the pictures to train on and of those held back.

    Of vignettes they are drawn from their truth; of other pictures they stand beside them where `given` says, or are
    read in them. BadInput for a name that no map has.
    """
    if given is not None:
        if not isinstance(data, Folder):
            raise BadInput(f"given: maps can be given beside pictures of a folder, and data is of kind '{data.kind}'")
        held_back = len(sets[1])
        first, second = data.beside(given, held_back, place.cache, workers)
        return first.pictures, second.pictures
    known: Any = ControlMap.registry[name]
    if isinstance(data, Vignettes):
        parts = data, data.after(len(sets[1]))
        works: list[Any] = [partial(_drawn, name, each.seed, each.first, each.size, each.split) for each in parts]
    else:
        works, workers = [partial(_read, name, source.pictures) for source in sets], 1
    first, second = (
        kept(place.cache, f"maps-{name}", digest(name, source.key, _code(known)), data.size, len(source), workers, work)
        for source, work in zip(sets, works, strict=True)
    )
    return first, second


def _drawn(name: str, seed: int, first: int, size: int, split: Any, span: Span) -> np.ndarray:
    kind = ControlMap.registry.named(name)
    return np.stack([np.asarray(kind.of_drawn(Drawn.of(scene(seed, first + i, split), size))) for i in range(*span)])


def _read(name: str, pictures: np.ndarray, span: Span) -> np.ndarray:
    kind = ControlMap.registry.named(name)
    return np.stack([np.asarray(kind(Image.fromarray(np.asarray(each)))) for each in pictures[slice(*span)]])


def _code(kind: type[ControlMap]) -> list[str]:
    """The sources of all maps and of this one, wherever it comes from."""
    import inspect

    ours = sorted(Path(maps.__file__).parent.rglob("*.py"))
    return [inspect.getsource(kind), *(path.read_text(encoding="utf-8") for path in ours)]
