"""Edges of a scene, from the drawing itself at twice the size: free of styles, grain and anti-aliasing."""

from __future__ import annotations

import cv2
import numpy as np

from sfumato.data.vignettes import Scene
from sfumato.data.vignettes.draw import paint

THRESHOLDS = (60, 150)
"""Of Canny, on the flat drawing."""


def edges(scene: Scene, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Contours and strokes of the scene's picture, (H, W) bool each; both together are its lines (`lined`).

    contours: where one thing ends and another begins. strokes: what Canny finds on the flat drawing, within things too
    (eyes, windows, folds). A pixel is an edge where one of the 2 x 2 of the larger drawing is.
    """
    painter = paint(scene, 2 * size)
    outline = contours(painter.labels[..., 0])
    grey = cv2.cvtColor(np.ascontiguousarray(painter.pixels[..., :3]), cv2.COLOR_RGB2GRAY)
    drawn = cv2.Canny(cv2.GaussianBlur(grey, (0, 0), 0.8), *THRESHOLDS) > 0
    return _halved(outline), _halved(drawn)


def lined(found: np.ndarray) -> np.ndarray:
    """Contours and strokes (..., 2) -> contours and lines, which a pen would draw: contours or strokes."""
    return np.maximum.accumulate(found, -1)


def contours(instance: np.ndarray) -> np.ndarray:
    """(H, W) bool: the pixels whose instance is another than that of the pixel to the right, or below."""
    found = np.zeros(instance.shape, bool)
    found[:, :-1] |= instance[:, :-1] != instance[:, 1:]
    found[:-1] |= instance[:-1] != instance[1:]
    return found


def _halved(fine: np.ndarray) -> np.ndarray:
    height, width = fine.shape
    return np.asarray(fine.reshape(height // 2, 2, width // 2, 2).any((1, 3)))
