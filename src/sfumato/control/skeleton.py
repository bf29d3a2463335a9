"""OpenPose's skeleton: its 18 joints, the limbs between them, and how they are drawn.

The order of joints and limbs is that of OpenPose's COCO model (Cao et al. 2017, "Realtime Multi-Person 2D Pose
Estimation using Part Affinity Fields": COCO's 17 keypoints and the neck), the drawing that of ControlNet's examples.
"""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

JOINTS = (
    *("nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist"),
    *("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
    *("right_eye", "left_eye", "right_ear", "left_ear"),
)
"""Left and right are the person's own."""

COCO = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow"),
    *("right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle"),
    "right_ankle",
)
"""COCO's 17 keypoints in their order (Lin et al. 2014), in which estimators such as ViTPose answer."""

LIMBS = tuple(
    (JOINTS.index(a), JOINTS.index(b))
    for a, b in (
        *(("neck", "right_shoulder"), ("neck", "left_shoulder")),
        *(("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist")),
        *(("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist")),
        *(("neck", "right_hip"), ("right_hip", "right_knee"), ("right_knee", "right_ankle")),
        *(("neck", "left_hip"), ("left_hip", "left_knee"), ("left_knee", "left_ankle")),
        *(("neck", "nose"), ("nose", "right_eye"), ("right_eye", "right_ear")),
        *(("nose", "left_eye"), ("left_eye", "left_ear")),
    )
)
COLOURS = tuple(tuple(round(255 * v) for v in colorsys.hsv_to_rgb(i / 18, 1, 1)) for i in range(18))
"""Of joint i and of limb i: full colours, 20 degrees of hue apart, from red."""

STICK = 4 / 512
"""Half the breadth of a limb, and the radius of a joint, in widths of the shorter side."""
DIM = 0.6
"""Limbs are so bright, joints are full."""


def joints_from(places: Mapping[str, Sequence[float]]) -> np.ndarray:
    """(18, 3): x, y and 1 of each joint that `places` has, by its name, zeros of the others. Where both shoulders are
    there and no neck, the neck is their middle, as OpenPose has it."""
    found = dict(places)
    if "neck" not in found and {"left_shoulder", "right_shoulder"} <= found.keys():
        left, right = found["left_shoulder"], found["right_shoulder"]
        found["neck"] = ((left[0] + right[0]) / 2, (left[1] + right[1]) / 2)
    return np.array([(*found[name][:2], 1.0) if name in found else (0.0, 0.0, 0.0) for name in JOINTS])


def draw_skeleton(joints: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """Joints (18, 3) of one figure, or (N, 18, 3) of several, on black: limbs as ellipses, 0.6 as bright as their
    colours, then joints as discs. size: (width, height)."""
    import cv2

    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    radius = max(1.0, STICK * min(size))
    for person in joints.reshape(-1, len(JOINTS), 3):
        for (a, b), colour in zip(LIMBS, COLOURS, strict=False):
            if person[a, 2] and person[b, 2]:
                (x, y), along = (person[a, :2] + person[b, :2]) / 2, person[b, :2] - person[a, :2]
                length, angle = float(np.hypot(*along)), float(np.degrees(np.arctan2(along[1], along[0])))
                box = ((float(x) - 0.5, float(y) - 0.5), (max(length, 1.0), 2 * radius), angle)
                cv2.ellipse(canvas, box, [int(DIM * v) for v in colour], -1)
        for (x, y, there), colour in zip(person, COLOURS, strict=True):
            if there:
                cv2.circle(canvas, (int(x), int(y)), round(radius), colour, -1)
    return Image.fromarray(canvas)
