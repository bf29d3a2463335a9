"""Classes of pictures: whatever a data set calls them, as whole numbers from 0 and their names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sfumato.picture import BadInput


def numbered(values: Sequence[object], origin: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """The class of each picture as an index (n,), int64, and the names of the classes in the order of the indices.

    Names are sorted, by value where all of them are whole numbers. Raises BadInput where a picture has no class.
    """
    if missing := sum(value is None or isinstance(value, list | dict) for value in values):
        raise BadInput(
            f"{origin}: {missing} of {len(values)} pictures have no class there; check data.label, or leave it out"
        )
    said = [str(value).strip() for value in values]
    names = sorted(set(said), key=lambda name: (0, int(name), "") if name.isdecimal() else (1, 0, name))
    index = {name: i for i, name in enumerate(names)}
    return np.array([index[name] for name in said], dtype=np.int64), tuple(names)
