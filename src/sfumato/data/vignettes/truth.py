"""Ground truth from the map of instances: semantic classes, depth, normals, boxes, keypoints."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .painter import Painter

RELIEF = 0.02  # how far the middle of a rounded thing stands out, in units of depth


def semantic(painter: Painter, instance: np.ndarray) -> np.ndarray:
    """(H, W) uint8 class numbers into `SEMANTIC_NAMES`."""
    return np.array([thing.semantic for thing in painter.things], np.uint8)[instance]


def depth(painter: Painter, instance: np.ndarray) -> np.ndarray:
    """(H, W) float32, 0 near to 1 far: each thing a plane standing upright, or leaning from its depth at the horizon
    (0.5 down the picture) to its depth at the bottom edge."""
    size = instance.shape[0]
    near = np.array([thing.depth_bottom for thing in painter.things], np.float32)
    far = np.array([thing.depth for thing in painter.things], np.float32)
    down = np.clip((np.arange(size, dtype=np.float32) + 0.5) / size * 2 - 1, 0, 1)[:, None]
    return far[instance] + (near - far)[instance] * down


def heights(painter: Painter, instance: np.ndarray) -> np.ndarray:
    """(H, W) float32 in [0, 1]: each rounded thing swells from its outline like a cushion, sqrt(1 - (1 - d)²) where d
    is the distance to the outline over the largest such distance, times the thing's roundness."""
    field = np.zeros(instance.shape, np.float32)
    for number, region in enumerate(ndimage.find_objects(instance.astype(np.int32) + 1)):
        if region is None or not painter.things[number].roundness:
            continue
        inside = np.pad(instance[region] == number, 1)
        distance = ndimage.distance_transform_edt(inside)[1:-1, 1:-1]  # type: ignore[index]
        d = distance / max(float(distance.max()), 1.0)
        field[region] += np.where(inside[1:-1, 1:-1], np.sqrt(1 - (1 - d) ** 2) * painter.things[number].roundness, 0)
    return field


def normals(painter: Painter, instance: np.ndarray, height: np.ndarray) -> np.ndarray:
    """(H, W, 3) float32 unit vectors (x right, y up, z to the viewer) from the slopes of `heights`.

    n ∝ (-∂h/∂x, ∂h/∂y, 1) with h as tall as 0.15 of the picture's width where roundness is 1; ground and water, whose
    depth changes from top to bottom, lie down: n = (0, cos 20°, sin 20°).
    """
    size = instance.shape[0]
    smooth = ndimage.gaussian_filter(height, size / 128)
    dy, dx = np.gradient(smooth * 0.15 * size)
    field = np.stack([-dx, dy, np.ones_like(dx)], axis=-1)
    lying = np.array([thing.depth_bottom != thing.depth for thing in painter.things])[instance]
    field[lying] = (0, np.cos(np.radians(20)), np.sin(np.radians(20)))
    return (field / np.linalg.norm(field, axis=-1, keepdims=True)).astype(np.float32)


def boxes(painter: Painter, instance: np.ndarray) -> list[dict]:
    """One box per visible thing and one per group (a person with all they wear): label, xyxy in pixels (right and
    bottom exclusive), the numbers of its instances in the map."""
    regions = ndimage.find_objects(instance.astype(np.int32) + 1)
    found: list[dict] = []
    groups: dict[str, list[int]] = {}
    for number, region in enumerate(regions):
        if region is None:
            continue
        thing = painter.things[number]
        found.append({"label": thing.label, "xyxy": _xyxy(region), "instances": [number]})
        if thing.group:
            groups.setdefault(thing.group, []).append(number)
    for group, numbers in groups.items():
        corners = np.array([_xyxy(regions[n]) for n in numbers])
        xyxy = [*corners[:, :2].min(0).tolist(), *corners[:, 2:].max(0).tolist()]
        found.append({"label": group, "xyxy": xyxy, "instances": numbers})
    return found


def _xyxy(region: tuple[slice, slice]) -> list[int]:
    rows, columns = region
    return [columns.start, rows.start, columns.stop, rows.stop]


def keypoints(painter: Painter) -> dict[str, tuple[float, float, bool]]:
    """Joints in pixels (x right, y down) and whether they lie in the frame."""
    size = painter.size
    return {
        name: (x * size, y * size, 0 <= x < 1 and 0 <= y < 1) for name, (x, y) in painter.keypoints.items()
    }  # fmt: skip
