"""Maps of pictures, which controls are shown: one file a kind. `Canny()(picture)` is a picture of its edges.

| map | what it is | how it is read |
|---|---|---|
| `canny` | thin edges, white on black | OpenCV |
| `softedge` | contours of things, white on black | a network trained on vignettes; `softedge-classical`: gradients |
| `lineart` | a pen's lines, white on black | the same network; `lineart-classical`: difference of Gaussians |
| `depth` | near is white | a network trained on vignettes, or transformers' DPT, Depth Anything |
| `normal` | red left, green top, blue front | from depth |
| `openpose` | OpenPose's skeleton | a network trained on vignettes, or transformers' ViTPose |
| `segmentation` | a colour a class | a network trained on vignettes, or transformers' of ADE20K's classes |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sfumato.control.maps.canny import Canny
from sfumato.control.maps.control_map import ControlMap
from sfumato.control.maps.depth import Depth
from sfumato.control.maps.line_art import LineArt
from sfumato.control.maps.normal import Normal
from sfumato.control.maps.openpose import OpenPose
from sfumato.control.maps.segmentation import Segmentation
from sfumato.control.maps.soft_edge import SoftEdge
from sfumato.picture import open_picture

if TYPE_CHECKING:
    from PIL import Image

__all__ = [
    "Canny",
    "ControlMap",
    "Depth",
    "LineArt",
    "Normal",
    "OpenPose",
    "Segmentation",
    "SoftEdge",
    "make_map",
]


def make_map(picture: Any, kind: ControlMap | str, size: tuple[int, int] | None = None) -> Image.Image:
    """The map of a picture (a path, bytes, a PIL image or an array), as `sfumato control PICTURE --as KIND` makes it.

    kind: a map, or the name of one. size: (width, height) to which the picture is scaled first, cut to its proportions;
    by default its own. Raises BadInput for what can't be read.
    """
    from PIL import Image, ImageOps

    image = open_picture(picture)
    if size is not None and size != image.size:
        image = ImageOps.fit(image, size, Image.Resampling.LANCZOS)
    made = ControlMap.registry.named(kind) if isinstance(kind, str) else kind
    return made(image)
