"""Vignettes with their ground truth as arrays to train on, drawn once and kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sfumato.data import array_cache
from sfumato.data.dataset import Span
from sfumato.data.world import Vignettes, world_version

JOINTS = (
    *("nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist"),
    *("right_hip", "left_hip", "right_eye", "left_eye", "right_ear", "left_ear"),
)
"""The joints of vignettes that OpenPose has too, in its order."""


def drawn_truth(data: Vignettes, home: Path) -> tuple[dict[str, np.ndarray], str]:
    """Arrays of n rows, and the key that they are kept under in the folder `home`:

    pictures (n, S, S, 3) uint8; edges (n, S, S, 2) uint8, 1 on contours and on strokes; depth (n, S, S) float16, 0
    near; normals (n, S, S, 3) float16, unit vectors; semantic (n, S, S) uint8; joints (n, J, 3) float32: x, y in pixels
    and 1, or zeros of one out of the picture.
    """
    s = (data.size, data.size)
    shapes: array_cache.Shapes = {
        "pictures": ((*s, 3), np.uint8),
        "edges": ((*s, 2), np.uint8),
        "depth": (s, np.float16),
        "normals": ((*s, 3), np.float16),
        "semantic": (s, np.uint8),
        "joints": ((len(JOINTS), 3), np.float32),
    }
    key = array_cache.digest("truth", sorted(shapes), data.drawn(), world_version())

    def drawn(spans: Iterable[Span]) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        for start, stop in spans:
            rows = [_drawn(data, data.first + index) for index in range(start, stop)]
            yield start, {name: np.stack([row[name] for row in rows]) for name in shapes}

    return array_cache.arrays(home, "vignette-truth", key, shapes, drawn, data.count, 128), key


def _drawn(data: Vignettes, index: int) -> dict[str, Any]:
    from sfumato.data.vignette_edges import edges
    from sfumato.data.vignettes import draw, scene

    shown = scene(data.seed, index, data.split)
    vignette = draw(shown, data.size)
    return {
        "pictures": vignette.image,
        "edges": np.stack(edges(shown, data.size), -1).astype(np.uint8),
        "depth": vignette.depth,
        "normals": vignette.normals,
        "semantic": vignette.semantic,
        "joints": joints_of(vignette.keypoints or {}),
    }


def joints_of(keypoints: dict[str, tuple[float, float, bool]]) -> np.ndarray:
    """The `JOINTS` of a vignette's keypoints, (J, 3)."""
    rows = [keypoints.get(name, (0.0, 0.0, False)) for name in JOINTS]
    return np.array([(x, y, 1.0) if there else (0.0, 0.0, 0.0) for x, y, there in rows], np.float32)
