"""An endless, captioned, painterly miniature world with its ground truth.

`scene(seed, index)` says what a picture shows, `draw(scene, size)` draws it with caption, attributes, instance and
semantic maps, depth, normals, keypoints and boxes. Everything is a pure function of (seed, index).
"""

from .draw import Vignette, draw
from .export import export, sheet
from .scene import Scene, held_out, scene
from .vocabulary import (
    ATTRIBUTES,
    COLOURS,
    HELD_OUT_COLOURS,
    HELD_OUT_STYLES,
    SEMANTIC_NAMES,
    held_out_parts,
)

__all__ = [
    "ATTRIBUTES",
    "COLOURS",
    "HELD_OUT_COLOURS",
    "HELD_OUT_STYLES",
    "SEMANTIC_NAMES",
    "Scene",
    "Vignette",
    "draw",
    "export",
    "held_out",
    "held_out_parts",
    "scene",
    "sheet",
]
