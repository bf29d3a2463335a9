"""From a scene to a picture with its ground truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sfumato.picture import BadInput

from . import truth as maps
from .elements import afloat, buildings, figure, land, nature, scenery, sky, still
from .light import Light, light_named
from .painter import Painter
from .scene import Scene
from .styles import apply

MIN_SIZE, MAX_SIZE = 8, 4096

_SUBJECTS: dict[str, Callable[[Painter, Scene, Light], None]] = {
    "woman": figure.figure,
    "man": figure.figure,
    "landscape": scenery.landscape,
    "boat": afloat.boat,
    "balloon": afloat.balloon,
    "house": buildings.house,
    "lighthouse": buildings.lighthouse,
    "windmill": buildings.windmill,
    "tree": nature.tree,
    "bird": nature.bird,
    "cat": nature.cat,
    "vase": still.vase,
    "bowl": still.bowl,
    "teapot": still.teapot,
}


@dataclass(frozen=True)
class Vignette:
    """A picture of the built-in world and everything known about it; the maps are None when not asked for.

    image (H, W, 3) uint8; instance (H, W) uint8; semantic (H, W) uint8 into `SEMANTIC_NAMES`; depth (H, W) float32 in
    [0, 1], 0 near; normals (H, W, 3) float32 unit vectors (x right, y up, z to the viewer); keypoints: joint to
    (x, y, visible) in pixels; boxes: label, xyxy, instances.
    """

    image: np.ndarray
    caption: str
    captions: tuple[str, ...]
    attributes: dict[str, str]
    instance: np.ndarray | None = None
    semantic: np.ndarray | None = None
    depth: np.ndarray | None = None
    normals: np.ndarray | None = None
    keypoints: dict[str, tuple[float, float, bool]] | None = None
    boxes: list[dict] | None = None


def draw(scene: Scene, size: int = 128, truth: bool = True) -> Vignette:
    """Draws `scene` as `size` x `size` pixels; with `truth` also its ground-truth maps, free of anti-aliasing.

    BadInput for a size outside 8..4096.
    """
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise BadInput(f"a vignette's size must be between {MIN_SIZE} and {MAX_SIZE} pixels, not {size}")
    painter = paint(scene, size)
    instance = np.ascontiguousarray(painter.labels[..., 0])
    depth = maps.depth(painter, instance)
    flat = np.ascontiguousarray(painter.pixels[..., :3])
    image = apply(scene["style"], flat, instance, depth, scene.dice("style").generator)
    captions = scene.captions
    if not truth:
        return Vignette(image, captions[0], captions, scene.attributes)
    height = maps.heights(painter, instance)
    return Vignette(
        image, captions[0], captions, scene.attributes, instance, maps.semantic(painter, instance),
        np.clip(depth - maps.RELIEF * height, 0, 1), maps.normals(painter, instance, height), maps.keypoints(painter),
        maps.boxes(painter, instance),
    )  # fmt: skip


def paint(scene: Scene, size: int) -> Painter:
    """The flat picture and the map of instances, before any style."""
    painter, light = Painter(size), light_named(scene["light"])
    sky.sky(painter, scene, light)
    land.place(painter, scene, light)
    sky.mist(painter, scene, light)
    _SUBJECTS[scene["subject"]](painter, scene, light)
    sky.air(painter, scene, light)
    return painter
