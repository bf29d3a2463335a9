"""The colours in which a map of the semantic classes is drawn, and the three groups that Make-A-Scene puts them in."""

from __future__ import annotations

import numpy as np

from sfumato.data.vignettes import SEMANTIC_NAMES

RGB = tuple[int, int, int]

PALETTE: dict[str, RGB] = {
    "sky": (120, 190, 255), "sun or moon": (255, 240, 120), "cloud": (235, 240, 245), "water": (30, 90, 200),
    "ground": (140, 180, 80), "mountain": (120, 110, 130), "plant": (20, 110, 40), "building": (150, 80, 70),
    "wall": (210, 200, 190), "furniture": (110, 70, 30), "skin": (255, 180, 140), "hair": (60, 35, 20),
    "clothes": (90, 90, 190), "jacket": (220, 30, 40), "hat": (255, 130, 0), "scarf": (255, 60, 170),
    "mask": (0, 230, 230), "glasses": (0, 80, 90), "headset": (130, 0, 160), "boat": (160, 40, 0),
    "lighthouse": (255, 90, 90), "windmill": (190, 160, 110), "balloon": (200, 0, 255), "vase": (0, 160, 150),
    "flower": (255, 170, 210), "bowl": (80, 150, 200), "fruit": (190, 220, 0), "teapot": (150, 130, 220),
    "cup": (90, 220, 160), "bird": (70, 70, 70), "cat": (210, 130, 60), "window": (180, 255, 250),
    "person": (160, 0, 90),
}  # fmt: skip
"""Black, and what is far from all of these, says nothing. "person" is whoever is nearer described by no other class."""

HUMAN = ("skin", "hair", "clothes", "jacket", "hat", "scarf")
FACE = ("mask", "glasses", "headset")
GROUPS: dict[str, tuple[str, ...]] = {
    "panoptic": tuple(name for name in PALETTE if name not in (*HUMAN, *FACE)),
    "human": HUMAN,
    "face": FACE,
}


def painted(semantic: np.ndarray) -> np.ndarray:
    """A map of class numbers (..., H, W) in the colours of the palette, uint8 (..., H, W, 3)."""
    colours = np.array([PALETTE.get(name, (0, 0, 0)) for name in SEMANTIC_NAMES], np.uint8)
    return colours[semantic]
