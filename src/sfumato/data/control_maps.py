"""Maps that controls are trained on: what is known of a vignette, or what a filter finds in any picture.

`drawn` gives the map of a vignette by its name, `filtered` that of a picture of which nothing is known. All are uint8
(S, S, 3), in the colours of the public ControlNets: edges and lines white on black, depth bright where it is near,
normals as 127.5 (n + 1), skeletons in OpenPose's colours, classes in a palette.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from sfumato.picture import BadInput

if TYPE_CHECKING:
    from sfumato.data.vignettes import Vignette

Picture = np.ndarray


def canny(image: Picture, low: int = 100, high: int = 200) -> Picture:
    """Canny's edges (Canny 1986), between the two thresholds of the gradient."""
    import cv2

    return _three(cv2.Canny(np.ascontiguousarray(image), low, high))


def softedge(image: Picture) -> Picture:
    """How steep the picture is: |grad| of its brightness, blurred by 1/64 of its side, its largest value white."""
    import cv2

    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY).astype(np.float32)
    grey = cv2.GaussianBlur(grey, (0, 0), max(image.shape[0] / 64, 0.5))
    steep = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    return _three(_bytes(255 * steep / max(float(steep.max()), 1e-6)))


def lineart(image: Picture) -> Picture:
    """Dark lines as bright ones: the difference of two blurs, of 1/128 and 1/80 of the side (Winnemoeller 2011)."""
    import cv2

    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    fine, wide = (cv2.GaussianBlur(grey, (0, 0), image.shape[0] / part) for part in (128, 80))
    return _three(_bytes(255 * np.tanh(20 * np.clip(wide - fine, 0, None))))


def outlines(vignette: Vignette) -> Picture:
    """The outlines of all things, a pixel wide."""
    instance = _known(vignette.instance)
    line = np.zeros(instance.shape, bool)
    line[:, 1:] |= instance[:, 1:] != instance[:, :-1]
    line[1:] |= instance[1:] != instance[:-1]
    return _three(255 * line.astype(np.uint8))


def depth(vignette: Vignette) -> Picture:
    return _three(_bytes(255 * (1 - _known(vignette.depth))))


def normal(vignette: Vignette) -> Picture:
    return _bytes(127.5 * (_known(vignette.normals) + 1))


def segmentation(vignette: Vignette) -> Picture:
    return PALETTE[_known(vignette.semantic)]


def openpose(vignette: Vignette) -> Picture:
    """Limbs at 60 % of their colours, then joints, in the order and the colours of OpenPose's 18 (Cao et al. 2017)."""
    import cv2

    size = vignette.image.shape[0]
    page = np.zeros((size, size, 3), np.uint8)
    points = vignette.keypoints or {}
    at = {name: (round(points[name][0]), round(points[name][1])) for name in JOINTS if name in points}
    for number, (a, b) in enumerate(LIMBS):
        if a in at and b in at:
            colour = tuple(int(0.6 * c) for c in COLOURS[number])
            cv2.line(page, at[a], at[b], colour, max(1, size // 64), cv2.LINE_AA)
    for number, name in enumerate(JOINTS):
        if name in at:
            cv2.circle(page, at[name], max(1, size // 128), COLOURS[number], -1)
    return page


JOINTS = (
    *("nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist"),
    *("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
    *("right_eye", "left_eye", "right_ear", "left_ear"),
)
LIMBS = (
    *(("neck", "right_shoulder"), ("neck", "left_shoulder"), ("right_shoulder", "right_elbow")),
    *(("right_elbow", "right_wrist"), ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist")),
    *(("neck", "right_hip"), ("right_hip", "right_knee"), ("right_knee", "right_ankle"), ("neck", "left_hip")),
    *(("left_hip", "left_knee"), ("left_knee", "left_ankle"), ("neck", "nose"), ("nose", "right_eye")),
    *(("right_eye", "right_ear"), ("nose", "left_eye"), ("left_eye", "left_ear")),
)
COLOURS = (
    *((255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0)),
    *((0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255), (0, 0, 255), (85, 0, 255)),
    *((170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85)),
)
PALETTE = np.array(
    [[round(255 * v) for v in colorsys.hsv_to_rgb(0.618034 * k % 1, 0.6 + 0.4 * (k % 2), 0.5 + 0.25 * (k % 3))]
     for k in range(256)], np.uint8,
)  # fmt: skip
PALETTE[0] = 0

FILTERED: dict[str, Callable[[Picture], Picture]] = {"canny": canny, "softedge": softedge, "lineart": lineart}
"""Maps that any picture has, by name."""
DRAWN: dict[str, Callable[[Vignette], Picture]] = {
    "canny": lambda vignette: canny(vignette.image),
    "softedge": lambda vignette: softedge(vignette.image),
    "lineart": outlines,
    "depth": depth,
    "normal": normal,
    "openpose": openpose,
    "segmentation": segmentation,
}
"""Maps of vignettes by name; all but the first two need their truth."""


def drawn(name: str, vignette: Vignette) -> Picture:
    """The map of a vignette, as a picture (S, S, 3)."""
    return DRAWN[check(name)](vignette)


def filtered(name: str, image: Picture) -> Picture:
    """The map of a picture uint8 (S, S, 3); BadInput for one that only a vignette's truth says."""
    if name not in FILTERED:
        raise BadInput(
            f"the map '{name}' can't be found in a picture here: give the maps (given), or train on vignettes; "
            f"found in any picture are {', '.join(FILTERED)}"
        )
    return FILTERED[name](image)


def check(name: str) -> str:
    """The name. BadInput for one that no map has."""
    if name not in DRAWN:
        raise BadInput(f"there is no map '{name}': choose from {', '.join(DRAWN)}")
    return name


def _known(values: np.ndarray | None) -> np.ndarray:
    assert values is not None  # a vignette that was drawn with its truth
    return values


def _bytes(values: np.ndarray) -> np.ndarray:
    return values.round().clip(0, 255).astype(np.uint8)


def _three(grey: np.ndarray) -> Picture:
    return np.repeat(grey[..., None], 3, -1)
