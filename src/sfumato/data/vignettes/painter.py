"""The brush: fills shapes on the picture and, without anti-aliasing, on the map of instances beneath it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from sfumato.lazy import skia

from .light import mix
from .vocabulary import SEMANTIC, Colour

Point = tuple[float, float]


@dataclass(frozen=True)
class Thing:
    """One instance: its label and class, its depth at its own top and bottom edge (0 near, 1 far), its group's name."""

    label: str
    semantic: int
    depth: float
    depth_bottom: float
    group: str | None = None
    roundness: float = 0.0


class Painter:
    """Draws in the unit square (x to the right, y down) at any resolution."""

    def __init__(self, size: int):
        self.size = size
        self.pixels = np.zeros((size, size, 4), np.uint8)
        self.labels = np.zeros((size, size, 4), np.uint8)
        self.canvas = skia.Canvas(self.pixels, colorType=skia.kRGBA_8888_ColorType)
        self.map = skia.Canvas(self.labels, colorType=skia.kRGBA_8888_ColorType)
        self.both = (self.canvas, self.map)
        for canvas in self.both:
            canvas.scale(size, size)
        self.things: list[Thing] = []
        self.keypoints: dict[str, Point] = {}
        self.tint: Colour = (1, 1, 1)
        self.haze: tuple[Colour, float] = ((0, 0, 0), 0.0)
        self._map_paint = skia.Paint(AntiAlias=False)

    def thing(
        self, label: str, semantic: str, depth: float, bottom: float | None = None, group: str | None = None,
        roundness: float = 0.0,
    ) -> int:  # fmt: skip
        """Opens a new instance: solid shapes belong to it until the next one. Returns its number in the map."""
        self.things.append(
            Thing(label, SEMANTIC[semantic], depth, depth if bottom is None else bottom, group, roundness)
        )
        return self.resume(len(self.things) - 1)

    def resume(self, number: int) -> int:
        """Goes back to an instance opened earlier."""
        self._map_paint = skia.Paint(AntiAlias=False, Color=skia.Color(number, number, number))
        return number

    def colour(self, colour: Colour, alpha: float = 1.0) -> int:
        """`colour` in this light, behind this haze, as skia packs it."""
        fog, amount = self.haze
        lit = [c * t + (f - c * t) * amount for c, t, f in zip(colour, self.tint, fog, strict=True)]
        r, g, b = (min(255, max(0, int(v + 0.5))) for v in lit)
        return skia.Color(r, g, b, min(255, max(0, int(alpha * 255 + 0.5))))

    def fill(self, path: skia.Path, colour: Colour, alpha: float = 1.0, solid: bool = True) -> None:
        self.canvas.drawPath(path, skia.Paint(AntiAlias=True, Color=self.colour(colour, alpha)))
        if solid:
            self.map.drawPath(path, self._map_paint)

    def gradient(
        self, path: skia.Path, start: Point, end: Point, colours: Sequence[Colour],
        at: Sequence[float] | None = None, alphas: Sequence[float] | None = None, solid: bool = True,
    ) -> None:  # fmt: skip
        """Fills with a linear gradient from `start` to `end`."""
        alphas = alphas or (1.0,) * len(colours)
        packed = [self.colour(c, a) for c, a in zip(colours, alphas, strict=True)]
        points = [skia.Point(*start), skia.Point(*end)]
        shader = skia.GradientShader.MakeLinear(points, packed, list(at) if at else None)
        self.canvas.drawPath(path, skia.Paint(AntiAlias=True, Shader=shader))
        if solid:
            self.map.drawPath(path, self._map_paint)

    def ball(self, path: skia.Path, centre: Point, radius: float, inner: Colour, outer: Colour) -> None:
        """Fills with a radial gradient: a rounded body lit at `centre`."""
        packed = [self.colour(inner), self.colour(mix(inner, outer, 0.35)), self.colour(outer)]
        shader = skia.GradientShader.MakeRadial(skia.Point(*centre), radius, packed, [0.0, 0.5, 1.0])
        self.canvas.drawPath(path, skia.Paint(AntiAlias=True, Shader=shader))
        self.map.drawPath(path, self._map_paint)

    def soft(self, x: float, y: float, rx: float, ry: float, colour: Colour, alpha: float) -> None:
        """A soft spot of colour that fades to nothing at the ellipse's edge."""
        packed = [self.colour(colour, alpha), self.colour(colour, alpha * 0.45), self.colour(colour, 0.0)]
        shader = skia.GradientShader.MakeRadial(skia.Point(0, 0), 1.0, packed, [0.0, 0.5, 1.0])
        self.canvas.save()
        self.canvas.translate(x, y)
        self.canvas.scale(rx, ry)
        self.canvas.drawCircle(0, 0, 1, skia.Paint(AntiAlias=True, Shader=shader))
        self.canvas.restore()

    def stroke(
        self, path: skia.Path, colour: Colour, width: float, alpha: float = 1.0, solid: bool = False
    ) -> None:  # fmt: skip
        style = {"Style": skia.Paint.kStroke_Style, "StrokeWidth": width, "StrokeCap": skia.Paint.kRound_Cap,
                 "StrokeJoin": skia.Paint.kRound_Join}  # fmt: skip
        self.canvas.drawPath(path, skia.Paint(AntiAlias=True, Color=self.colour(colour, alpha), **style))
        if solid:
            self.map.drawPath(path, skia.Paint(AntiAlias=False, Color=self._map_paint.getColor(), **style))

    @contextmanager
    def inside(self, path: skia.Path) -> Iterator[None]:
        """Everything drawn within stays inside `path`."""
        self.canvas.save()
        self.canvas.clipPath(path, skia.ClipOp.kIntersect, True)
        self.map.save()
        self.map.clipPath(path, skia.ClipOp.kIntersect, False)
        try:
            yield
        finally:
            self.canvas.restore()
            self.map.restore()

    @contextmanager
    def placed(self, x: float, y: float, scale: float, degrees: float = 0.0, flip: bool = False) -> Iterator[None]:
        """Local coordinates: origin at (x, y), one local unit = `scale`, turned clockwise by `degrees`."""
        for canvas in self.both:
            canvas.save()
            canvas.translate(x, y)
            canvas.rotate(degrees)
            canvas.scale(-scale if flip else scale, scale)
        try:
            yield
        finally:
            for canvas in self.both:
                canvas.restore()

    @contextmanager
    def lit(self, tint: Colour, haze: Colour = (0, 0, 0), amount: float = 0.0) -> Iterator[None]:
        """Everything drawn within has its colours multiplied by `tint` and mixed with `haze`."""
        before = self.tint, self.haze
        self.tint, self.haze = tint, (haze, amount)
        try:
            yield
        finally:
            self.tint, self.haze = before

    def mark(self, name: str, x: float, y: float) -> None:
        """Records a keypoint given in local coordinates; kept in the unit square."""
        point = self.canvas.getTotalMatrix().mapXY(x, y)
        self.keypoints[name] = (point.fX / self.size, point.fY / self.size)
