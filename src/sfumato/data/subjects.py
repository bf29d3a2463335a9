"""Subjects that no vignette shows: a figure whose clothes have a pattern of their own, and paint on the cheeks.

Endless, and the same for a number on every machine. A model that was trained on vignettes knows women and men and has
seen none of these: what it learns of one it learns from the handful of pictures that it is shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from sfumato.data import vignettes
from sfumato.data.vignettes.vocabulary import SEMANTIC

WORLD = 7_000_003  # no training world
COLOURS = ((236, 28, 196), (24, 224, 208), (250, 220, 30), (120, 250, 60), (255, 120, 30), (90, 60, 250))
"""Brighter than any of the world's own."""
PATTERNS = ("checks", "stripes", "dots", "slants")
WORN = ("hat", "scarf", "mask", "glasses", "headset")


@dataclass(frozen=True)
class UnseenSubject:
    """kind: woman or man. pattern: of its clothes, in two colours; paint: the colour on its cheeks."""

    number: int
    kind: str
    pattern: str
    colours: tuple[tuple[int, int, int], tuple[int, int, int]]
    paint: tuple[int, int, int]

    @property
    def word(self) -> str:
        """What prompts may call it."""
        return f"sks {self.kind}"

    def pictures(self, count: int, size: int = 64, skip: int = 0) -> np.ndarray:
        """(count, size, size, 3) uint8: it in other places, lights and poses each time, `skip` of them passed over."""
        return np.stack([self._drawn(scene, size) for scene in islice(self._scenes(), skip, skip + count)])

    def _scenes(self) -> Iterator[vignettes.Scene]:
        """Flat scenes of its kind, with nothing on that would hide it."""
        for index in range(1_000_000):
            scene = vignettes.scene(WORLD + self.number, index, "any")
            bare = all(scene[thing] == "none" for thing in WORN)
            if scene["subject"] == self.kind and scene["style"] == "flat" and bare:
                yield scene

    def _drawn(self, scene: vignettes.Scene, size: int) -> np.ndarray:
        vignette = vignettes.draw(scene, size)
        assert vignette.semantic is not None
        assert vignette.keypoints is not None
        image = vignette.image.copy()
        clothes = np.isin(vignette.semantic, [SEMANTIC["clothes"], SEMANTIC["jacket"]])
        first, second = self.colours
        rows, columns = np.nonzero(clothes)
        if len(rows):
            y, x = np.mgrid[:size, :size]
            y, x = (y - rows.min()) * 32 / size, (x - columns.min()) * 32 / size
            image[clothes] = np.where(_PATTERNS[self.pattern](x, y)[..., None], first, second)[clothes]
        face = vignette.semantic == SEMANTIC["skin"]
        for side in ("left", "right"):
            (ex, ey, seen), (nx, ny, _) = vignette.keypoints[f"{side}_eye"], vignette.keypoints["nose"]
            if seen:
                y, x = np.mgrid[:size, :size]
                middle = ex + (ex - nx) * 0.2, ny + (ny - ey) * 0.3
                image[((x - middle[0]) ** 2 + (y - middle[1]) ** 2 <= (size / 40) ** 2) & face] = self.paint
        return image


def _checks(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return ((x // 3 + y // 3) % 2).astype(bool)


def _stripes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (y // 2 % 2).astype(bool)


def _dots(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return ((x % 5 - 2) ** 2 + (y % 5 - 2) ** 2) < 3


def _slants(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return ((x + y) // 3 % 2).astype(bool)


_PATTERNS = {"checks": _checks, "stripes": _stripes, "dots": _dots, "slants": _slants}


def unseen_subject(number: int) -> UnseenSubject:
    """Subject `number`: women and men in turn, patterns in turn, colours drawn."""
    dice = np.random.default_rng([WORLD, number])
    first, second, paint = (COLOURS[i] for i in dice.permutation(len(COLOURS))[:3])
    return UnseenSubject(number, ("woman", "man")[number % 2], PATTERNS[number % len(PATTERNS)], (first, second), paint)
