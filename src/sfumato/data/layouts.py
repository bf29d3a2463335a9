"""Where things lie in vignettes, as networks are trained to be told: maps of classes, and segments with their words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sfumato.data import array_cache
from sfumato.data.vignettes import SEMANTIC_NAMES, Scene, scene
from sfumato.data.vignettes.draw import paint
from sfumato.data.vignettes.truth import semantic
from sfumato.data.world import Vignettes, world_version

COLOURED = ("jacket", "hat", "scarf", "mask")
LEAST = 0.01  # of the picture: smaller segments are none
MOST = 8  # segments a picture


def class_maps(data: Vignettes, home: Path, *, after: int = 0) -> np.ndarray:
    """The semantic class of each pixel (n, S, S), uint8 into `SEMANTIC_NAMES`. after: of so many pictures that follow
    those trained on, instead."""
    return _maps(data, home, after)["classes"]


def segments(data: Vignettes, home: Path, *, after: int = 0) -> np.ndarray:
    """The number of the segment that each pixel lies in (n, S, S), uint8: 1 to 8 from the largest on, 0 in none."""
    return _maps(data, home, after)["segments"]


def words_of(data: Vignettes, index: int, classes: np.ndarray) -> str:
    """What a segment of picture `index` shows, in words, as "a red hat" or "a sky". classes: those of its pixels.

    What has a colour of its own in the world's attributes is said with it.
    """
    return words_in(scene(data.seed, data.first + index, data.split), classes)


def words_in(shown: Scene, classes: np.ndarray) -> str:
    """What a segment of a scene shows, by the classes of its pixels, in words."""
    name = SEMANTIC_NAMES[np.bincount(classes).argmax()]
    colour = shown[name] if name in COLOURED else shown["color"] if name in shown["subject"] else "none"
    return f"a {name}" if colour == "none" else f"a {colour} {name}"


def _maps(data: Vignettes, home: Path, after: int) -> dict[str, np.ndarray]:
    first, count = (data.first + data.count, after) if after else (data.first, data.count)
    key = array_cache.digest(data.seed, first, count, data.size, data.split, world_version(), "layouts", 1)
    shapes = dict.fromkeys(("classes", "segments"), ((data.size, data.size), np.uint8))

    def compute(spans: list[tuple[int, int]]) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        for start, stop in spans:
            found = [_one(data, first + i) for i in range(start, stop)]
            classes, parts = (np.stack(each) for each in zip(*found, strict=True))
            yield start, {"classes": classes, "segments": parts}

    return array_cache.arrays(home, "layouts", key, shapes, compute, count)  # type: ignore[arg-type]


def _one(data: Vignettes, index: int) -> tuple[np.ndarray, np.ndarray]:
    painter = paint(scene(data.seed, index, data.split), data.size)
    instance = np.ascontiguousarray(painter.labels[..., 0])
    return semantic(painter, instance), numbered(instance)


def numbered(instance: np.ndarray) -> np.ndarray:
    """The number of the segment that each pixel lies in, uint8: 1 to 8 from the largest on, 0 in none. instance: the
    number of the thing that each pixel shows (H, W)."""
    sizes = np.bincount(instance.ravel())
    kept = [number for number in np.argsort(-sizes, kind="stable")[:MOST] if sizes[number] >= LEAST * instance.size]
    numbers = np.zeros(len(sizes), np.uint8)
    numbers[kept] = np.arange(1, len(kept) + 1)
    return numbers[instance]
