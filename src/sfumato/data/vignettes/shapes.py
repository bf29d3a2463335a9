"""Paths."""

from __future__ import annotations

from collections.abc import Sequence

from sfumato.lazy import skia

Point = tuple[float, float]


def oval(x: float, y: float, rx: float, ry: float | None = None) -> skia.Path:
    ry = rx if ry is None else ry
    path = skia.Path()
    path.addOval(skia.Rect.MakeLTRB(x - rx, y - ry, x + rx, y + ry))
    return path


def box(left: float, top: float, right: float, bottom: float, radius: float = 0.0) -> skia.Path:
    path = skia.Path()
    rect = skia.Rect.MakeLTRB(left, top, right, bottom)
    if radius:
        path.addRoundRect(rect, radius, radius)
    else:
        path.addRect(rect)
    return path


def polygon(points: Sequence[Point]) -> skia.Path:
    path = skia.Path()
    path.moveTo(*points[0])
    for point in points[1:]:
        path.lineTo(*point)
    path.close()
    return path


def line(*points: Point) -> skia.Path:
    path = skia.Path()
    path.moveTo(*points[0])
    for point in points[1:]:
        path.lineTo(*point)
    return path


def arc(start: Point, control: Point, end: Point) -> skia.Path:
    """An open quadratic curve."""
    path = skia.Path()
    path.moveTo(*start)
    path.quadTo(*control, *end)
    return path


def curve(points: Sequence[Point], closed: bool = False) -> skia.Path:
    """The Catmull-Rom curve through `points`."""
    n = len(points)
    path = skia.Path()
    path.moveTo(*points[0])
    for k in range(n if closed else n - 1):
        if closed:
            a, b, c, d = (points[(k + j) % n] for j in (-1, 0, 1, 2))
        else:
            a, b, c, d = (points[min(max(k + j, 0), n - 1)] for j in (-1, 0, 1, 2))
        path.cubicTo(
            b[0] + (c[0] - a[0]) / 6, b[1] + (c[1] - a[1]) / 6, c[0] - (d[0] - b[0]) / 6, c[1] - (d[1] - b[1]) / 6, *c
        )
    if closed:
        path.close()
    return path


def blob(points: Sequence[Point]) -> skia.Path:
    """A smooth closed shape through `points`."""
    return curve(points, closed=True)


def mirrored(right: Sequence[Point]) -> list[Point]:
    """Points of the right half, top to bottom, completed by their mirror images: a symmetric outline."""
    return list(right) + [(-x, y) for x, y in reversed(right) if x != 0]


def below(points: Sequence[Point], bottom: float = 1.05) -> skia.Path:
    """The region under the smooth curve through `points`."""
    path = curve(points)
    path.lineTo(points[-1][0], bottom)
    path.lineTo(points[0][0], bottom)
    path.close()
    return path
