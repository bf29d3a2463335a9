"""A hand that draws: wavering tapered strokes, hatching, strands of hair, and what finger and paper do to them.

All places are in pixels of a `SHEET` x `SHEET` sheet; drawings are made `FINE` times as large, then reduced.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import skia
from scipy import ndimage

SHEET, FINE = 512, 2

Points = Sequence[tuple[float, float]]


def curve(points: Points, closed: bool = False) -> np.ndarray:
    """A Catmull-Rom curve through `points`, sampled about every two pixels."""
    p = np.asarray(points, float)
    ends = (p[-1:], p[:2]) if closed else (2 * p[:1] - p[1:2], 2 * p[-1:] - p[-2:-1])
    p = np.concatenate([ends[0], p, ends[1]])
    pieces = []
    for a, b, c, d in zip(p, p[1:], p[2:], p[3:], strict=False):
        t = np.linspace(0, 1, max(3, int(np.hypot(*(c - b)) / 2)), endpoint=False)[:, None]
        pieces.append(b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a))))
    return np.concatenate([*pieces, p[-2:-1]])


def resampled(line: np.ndarray, count: int) -> np.ndarray:
    """The same line by `count` points at equal distances."""
    s = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    at = np.linspace(0, s[-1], count)
    return np.stack([np.interp(at, s, line[:, k]) for k in (0, 1)], -1)


class Layer:
    """A sheet that takes strokes: `light` is what share of the paper still shows."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.pixels = np.full((SHEET * FINE, SHEET * FINE, 4), 255, np.uint8)
        self.canvas = skia.Surface(self.pixels, colorType=skia.kRGBA_8888_ColorType).getCanvas()
        self.canvas.scale(FINE, FINE)

    @property
    def light(self) -> np.ndarray:
        return self.pixels[..., 0] / 255

    def line(self, points: Points | np.ndarray, width: float = 1.6, press: float = 0.6, passes: int = 2,
             waver: float = 0.9, over: float = 3.0) -> None:  # fmt: skip
        """Draws along `points` in `passes` strokes, each a little elsewhere; the first is the surest."""
        path = points if isinstance(points, np.ndarray) else curve(points)
        for k in range(passes):
            loose = waver * (0.6 + 0.7 * k)
            self._stroke(self._wavering(path, loose, over), width * (1 - 0.2 * k), press * (1 - 0.33 * k))

    def _wavering(self, path: np.ndarray, waver: float, over: float) -> np.ndarray:
        length = np.hypot(*np.diff(path, axis=0).T).sum()
        path = resampled(path, max(6, int(length / 3)))
        t = np.linspace(0, length, len(path))[:, None]
        offset = self.rng.normal(0, 0.5 * waver, 2)
        for wave in (90.0, 38.0, 17.0):
            offset = offset + waver * (wave / 90) ** 0.7 * 0.6 * self.rng.standard_normal(2) * np.sin(
                2 * np.pi * (t / wave + self.rng.random(2))
            )
        path = path + offset
        if over > 0:
            start, end = path[0] - path[2], path[-1] - path[-3]
            reach = self.rng.uniform(-0.3, 1.0, 2) * over
            first = path[0] + reach[0] * start / (np.hypot(*start) + 1e-6)
            last = path[-1] + reach[1] * end / (np.hypot(*end) + 1e-6)
            path = np.concatenate([first[None], path[1:-1], last[None]])
        return path

    def _stroke(self, path: np.ndarray, width: float, press: float) -> None:
        """One stroke: thin at both ends, swelling where the hand presses."""
        t = np.linspace(0, 1, len(path))
        swell = np.clip(np.minimum(t / 0.22, (1 - t) / 0.3), 0.12, 1) ** 0.8
        swell *= 1 + 0.28 * np.sin(2 * np.pi * (t * self.rng.uniform(0.6, 2.0) + self.rng.random()))
        along = np.gradient(path, axis=0)
        normal = np.stack([-along[:, 1], along[:, 0]], -1) / (np.hypot(*along.T)[:, None] + 1e-6)
        side = normal * (0.5 * width * swell)[:, None]
        outline = np.concatenate([path + side, (path - side)[::-1]])
        shape = skia.Path().addPoly([skia.Point(float(x), float(y)) for x, y in outline], True)
        alpha = int(255 * np.clip(press * self.rng.uniform(0.85, 1.1), 0, 1))
        self.canvas.drawPath(shape, skia.Paint(AntiAlias=True, Color=skia.Color(0, 0, 0, alpha)))

    def hatch(self, region: Points | np.ndarray, angle: float, gap: float = 4.0, width: float = 1.5,
              press: float = 0.4, bend: float = 0.0) -> None:  # fmt: skip
        """Fills a closed region with strokes at `angle` degrees, `gap` pixels apart, whose ends do not quite agree."""
        border = region if isinstance(region, np.ndarray) else curve(region, closed=True)
        inside = filled(border)
        turn = np.deg2rad(angle)
        along, across = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
        middle = border.mean(0)
        reach = np.hypot(*(border - middle).T).max() + 4
        s = np.arange(-reach, reach, 2.0)
        v = -reach
        while v < reach:
            v += gap * self.rng.uniform(0.7, 1.3)
            bow = bend * (1 - (s / reach) ** 2) * reach
            tilt = self.rng.normal(0, 0.018)
            ray = middle + s[:, None] * along + (v + bow + tilt * s)[:, None] * across
            x, y = np.clip(ray, 0, SHEET - 1).astype(int).T
            hit = inside[y, x] & (ray.min(1) >= 0) & (ray.max(1) < SHEET)
            for start, stop in _runs(hit):
                a, b = start + self.rng.integers(-2, 3), stop + self.rng.integers(-3, 3)
                piece = ray[max(a, 0) : max(b, 0)]
                if len(piece) > 3:
                    self._stroke(self._wavering(piece, 0.35, 0), width, press * self.rng.uniform(0.6, 1.15))

    def strands(self, outer: Points, inner: Points, count: int, width: float = 1.5, press: float = 0.45,
                dark: tuple[float, float] = (0.0, 1.0)) -> None:  # fmt: skip
        """Strokes that run between two curves as hair does, more of them towards the `dark` part across."""
        a, b = resampled(curve(outer), 90), resampled(curve(inner), 90)
        for _ in range(count):
            s = self.rng.uniform(*dark) if self.rng.random() < 0.6 else self.rng.random()
            drift = np.linspace(0, self.rng.normal(0, 0.10), 90)[:, None]
            lock = a + (b - a) * np.clip(s + drift, -0.06, 1.06)
            start = self.rng.uniform(0, 0.7)
            stop = min(1.0, start + self.rng.uniform(0.2, 0.6))
            piece = lock[int(start * 89) : int(stop * 89) + 1]
            if len(piece) > 4:
                self._stroke(self._wavering(piece, 0.8, 2), width * self.rng.uniform(0.6, 1.3), press)

    def lift(self, centre: tuple[float, float], size: tuple[float, float], strength: float = 0.8) -> None:
        """Takes tone away with the kneaded eraser."""
        x, y = centre
        paint = skia.Paint(AntiAlias=True, Color=skia.Color(255, 255, 255, int(255 * strength)))
        paint.setMaskFilter(skia.MaskFilter.MakeBlur(skia.kNormal_BlurStyle, 0.4 * min(size)))
        self.canvas.drawOval(skia.Rect.MakeLTRB(x - size[0], y - size[1], x + size[0], y + size[1]), paint)


def filled(border: np.ndarray) -> np.ndarray:
    pixels = np.zeros((SHEET, SHEET, 4), np.uint8)
    shape = skia.Path().addPoly([skia.Point(float(x), float(y)) for x, y in border], True)
    skia.Surface(pixels).getCanvas().drawPath(shape, skia.Paint(Color=skia.ColorWHITE))
    return pixels[..., 0] > 0


def _runs(hit: np.ndarray) -> list[tuple[int, int]]:
    edge = np.flatnonzero(np.diff(np.concatenate([[0], hit.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edge[::2], edge[1::2], strict=True)]


def smudged(light: np.ndarray, share: float, reach: float) -> np.ndarray:
    """A finger drawn over the tone: part of the lead spreads."""
    spread = ndimage.gaussian_filter(light, (reach, reach * 0.8))
    return light * (1 - share) + spread * share


def tooth(rng: np.random.Generator) -> np.ndarray:
    """The grain of laid paper, mean 0: fibres, a little unevenness."""
    size = SHEET * FINE
    fine = ndimage.gaussian_filter(rng.standard_normal((size, size)), 1.1)
    slow = ndimage.gaussian_filter(rng.standard_normal((size // 8, size // 8)), 3)
    slow = np.asarray(ndimage.zoom(slow, 8, order=1))
    return fine / fine.std() + 0.35 * slow / slow.std()
