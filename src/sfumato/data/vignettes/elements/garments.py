"""What people wear, in the local coordinates of `figure`: jacket, jumper, scarf, mask, glasses, headset, hats."""

from __future__ import annotations

from sfumato.lazy import skia

from ..light import Light, mix, scaled
from ..painter import Painter
from ..scene import Scene
from ..shapes import arc, blob, box, curve, line, mirrored, oval, polygon
from ..vocabulary import Colour
from .body import Body

HATS = ("beanie", "brim", "beret", "cap")


def jumper(painter: Painter, body: Body, colour: Colour) -> None:
    n = 0.19 if body.woman else 0.24
    neck = curve([(-n, 0.17), (-n * 0.7, 0.34), (0, 0.42), (n * 0.7, 0.34), (n, 0.17)])
    painter.stroke(neck, scaled(colour, 0.78), 0.11, solid=True)
    painter.stroke(neck, scaled(colour, 1.1), 0.02, 0.6)


def jacket(
    painter: Painter, scene: Scene, body: Body, outline: skia.Path, colour: Colour, shirt: Colour, number: int
) -> None:  # fmt: skip
    """Shirt in the opening, two lapels, a seam with buttons or a zip."""
    dice = scene.dice("jacket")
    n, deep = (0.17 if body.woman else 0.22), dice.between(0.72, 0.98)
    zipped = dice.chance(0.5)
    deep = deep * 0.75 if zipped else deep
    painter.thing("clothes", "clothes", 0.15, group=body.name)
    opening = polygon(
        [(-n * 1.25, 0.0), (n * 1.25, 0.0), (n * 1.15, 0.3), (0.03, deep), (-0.03, deep), (-n * 1.15, 0.3)]
    )
    with painter.inside(outline):
        painter.gradient(opening, (0, 0.3), (0, deep), (shirt, scaled(shirt, 0.75)))
        painter.stroke(arc((-n, 0.16), (0, 0.56), (n, 0.16)), scaled(shirt, 1.25), 0.035)
    painter.resume(number)
    dark = scaled(colour, 0.66)
    painter.stroke(line((0.0, deep - 0.02), (0.0, 2.9)), dark, 0.035, 0.8)
    for side in (-1, 1):
        tone = scaled(colour, 0.94 if side == body.lit else 0.78)
        if zipped:
            flap = [(side * n * 0.95, 0.02), (side * (n + 0.17), 0.22), (side * 0.13, deep + 0.02),
                    (side * 0.01, deep + 0.02), (side * n * 0.9, 0.3)]  # fmt: skip
        else:
            flap = [(side * n * 0.9, 0.08), (side * (n + 0.22), 0.30), (side * (n + 0.10), 0.42),
                    (side * (n + 0.16), 0.50), (side * 0.02, deep + 0.1), (side * n * 0.95, 0.34)]  # fmt: skip
        path = polygon(flap)
        painter.fill(path, tone)
        painter.stroke(path, scaled(colour, 0.58), 0.016, 0.7)
    if zipped:
        painter.fill(box(-0.025, deep + 0.02, 0.025, deep + 0.14, 0.02), (225, 220, 205), solid=False)
    else:
        for k in range(3):
            painter.fill(oval(0.07, deep + 0.2 + 0.28 * k, 0.036), scaled(colour, 0.5), solid=False)


def scarf(painter: Painter, scene: Scene, body: Body, colour: Colour) -> None:
    dice, lit = scene.dice("scarf"), body.lit
    side = 1 if dice.chance(0.5) else -1
    w = 0.38 if body.woman else 0.43
    lean, long = dice.between(0.0, 0.14), dice.between(1.0, 1.35)
    x = side * 0.16
    tail = polygon([(x - 0.13, 0.25), (x + 0.13, 0.25), (x + side * lean + 0.15, long), (x + side * lean - 0.15, long)])
    painter.gradient(tail, (x, 0.3), (x, long), (scaled(colour, 0.82), colour, scaled(colour, 0.88)), at=(0, 0.35, 1))
    for k in range(5):
        u = x + side * lean - 0.13 + 0.065 * k
        painter.stroke(line((u, long - 0.01), (u, long + 0.07)), scaled(colour, 0.85), 0.035, solid=True)
    for k in (0, 1):
        v = long - 0.12 - 0.1 * k
        painter.stroke(
            line((x + side * lean * 0.9 - 0.13, v), (x + side * lean * 0.9 + 0.13, v)), scaled(colour, 0.7), 0.03, 0.8
        )
    wrap = blob([(-w * 0.86, -0.04), (-w * 1.08, 0.16), (-w * 0.8, 0.38), (0, 0.48), (w * 0.8, 0.38), (w * 1.08, 0.16),
                 (w * 0.86, -0.04), (0, 0.06)])  # fmt: skip
    painter.gradient(
        wrap, (lit * w, 0), (-lit * w, 0.4), (scaled(colour, 1.08), colour, scaled(colour, 0.78)), at=(0, 0.5, 1)
    )
    with painter.inside(wrap):
        for k in range(3):
            v = 0.04 + 0.13 * k
            painter.stroke(curve([(-w, v - 0.05), (-w * 0.3, v + 0.1), (w * 0.4, v + 0.09),
                           (w, v - 0.04)]), scaled(colour, 0.68), 0.022, 0.55)  # fmt: skip


def mask(painter: Painter, body: Body, colour: Colour) -> None:
    d, lit = body.shift, body.lit
    edge = scaled(colour, 0.7)
    for side in (-1, 1):
        painter.stroke(line((side * 0.33, -0.33), (side * 0.385, -0.46)), edge, 0.026, solid=True)
        painter.stroke(line((side * 0.30, -0.12), (side * 0.37, -0.36)), edge, 0.026, solid=True)
    shape = blob([
        (d * 1.2, -0.40), (0.17 + d * 0.6, -0.355), (0.345, -0.335), (0.33, -0.15), (0.19, 0.03), (0, 0.06),
        (-0.19, 0.03),
        (-0.33, -0.15), (-0.345, -0.335), (-0.17 + d * 0.6, -0.355),
    ])  # fmt: skip
    painter.gradient(shape, (lit * 0.35, -0.3), (-lit * 0.35, -0.1),
                     (scaled(colour, 1.08), colour, scaled(colour, 0.82)), at=(0, 0.5, 1))  # fmt: skip
    for y in (-0.27, -0.18, -0.09):
        painter.stroke(arc((-0.3, y - 0.01), (d, y + 0.06), (0.3, y - 0.01)), edge, 0.018, 0.6)
    painter.stroke(shape, edge, 0.016, 0.7)


def glasses(painter: Painter, body: Body) -> None:
    d, frame = body.shift, (38, 30, 34)
    for side in (-1, 1):
        lens = oval(side * 0.17 + d, -0.46, 0.135, 0.125)
        painter.fill(lens, (255, 255, 255), 0.16)
        painter.stroke(lens, frame, 0.044, solid=True)
        painter.stroke(line((side * 0.305 + d, -0.48), (side * 0.375, -0.50)), frame, 0.036, solid=True)
        painter.stroke(arc((side * 0.17 + d - 0.07, -0.50), (side * 0.17 + d - 0.05, -0.54), (side * 0.17 + d, -0.55)),
                       (255, 255, 255), 0.02, 0.7)  # fmt: skip
    painter.stroke(arc((d - 0.05, -0.48), (d, -0.52), (d + 0.05, -0.48)), frame, 0.036, solid=True)


def headset(painter: Painter, body: Body) -> None:
    d = body.shift * 1.1
    strap = polygon([(-0.40, -0.66), (0.40, -0.66), (0.40, -0.50), (-0.40, -0.50)])
    painter.fill(strap, (58, 60, 70))
    visor = box(-0.36 + d, -0.70, 0.36 + d, -0.335, 0.11)
    painter.gradient(visor, (0, -0.70), (0, -0.33), ((98, 102, 116), (44, 46, 58), (24, 26, 36)), at=(0, 0.35, 1))
    with painter.inside(visor):
        sheen = polygon([(d - 0.30, -0.72), (d - 0.08, -0.72), (d - 0.22, -0.3), (d - 0.44, -0.3)])
        painter.fill(sheen, (150, 196, 230), 0.35, solid=False)
    painter.stroke(line((d - 0.22, -0.405), (d + 0.22, -0.405)), (96, 226, 240), 0.034)
    painter.stroke(visor, (20, 22, 30), 0.022, 0.8)


def hat(painter: Painter, scene: Scene, light: Light, body: Body, colour: Colour) -> None:
    kind = scene.dice("hat").choose(HATS)
    _HATS[kind](painter, body, colour)


def _crown(painter: Painter, body: Body, path: skia.Path, colour: Colour) -> None:
    lit = body.lit
    painter.gradient(path, (lit * 0.4, -1.2), (-lit * 0.4, -0.7), (scaled(colour, 1.1), colour, scaled(colour, 0.76)),
                     at=(0, 0.45, 1))  # fmt: skip


def _beanie(painter: Painter, body: Body, colour: Colour) -> None:
    dome = blob(mirrored([(0, -1.28), (0.26, -1.2), (0.42, -0.96), (0.45, -0.70), (0, -0.68)]))
    _crown(painter, body, dome, colour)
    with painter.inside(dome):
        for k in range(-3, 4):
            painter.stroke(arc((k * 0.04, -1.26), (k * 0.13, -1.05), (k * 0.14, -0.7)), scaled(colour, 0.7), 0.02, 0.5)
    band = blob(mirrored([(0, -0.86), (0.3, -0.83), (0.46, -0.77), (0.455, -0.62), (0.25, -0.665), (0, -0.68)]))
    painter.fill(band, scaled(colour, 0.84))
    for k in range(-4, 5):
        painter.stroke(line((k * 0.1, -0.82), (k * 0.1, -0.68)), scaled(colour, 0.64), 0.018, 0.6)
    painter.ball(oval(0, -1.31, 0.125), (body.lit * 0.05, -1.36), 0.2, scaled(colour, 1.25), scaled(colour, 0.85))


def _brim(painter: Painter, body: Body, colour: Colour) -> None:
    brim = blob(mirrored([(0, -0.90), (0.42, -0.88), (0.70, -0.80), (0.66, -0.70), (0.36, -0.70), (0, -0.72)]))
    crown = blob(mirrored([(0, -1.22), (0.2, -1.27), (0.33, -1.14), (0.375, -0.82), (0.2, -0.78), (0, -0.775)]))
    painter.gradient(brim, (0, -0.9), (0, -0.68), (scaled(colour, 1.06), scaled(colour, 0.8)))
    _crown(painter, body, crown, colour)
    band = blob(mirrored([(0, -0.90), (0.36, -0.93), (0.375, -0.83), (0.2, -0.79), (0, -0.785)]))
    painter.fill(band, mix(scaled(colour, 0.45), (60, 44, 40), 0.35))


def _beret(painter: Painter, body: Body, colour: Colour) -> None:
    s = -body.lit
    path = blob([(s * -0.42, -0.72), (s * -0.46, -0.92), (s * -0.28, -1.14), (s * 0.1, -1.24), (s * 0.48, -1.18),
                 (s * 0.62, -0.98), (s * 0.50, -0.82), (s * 0.36, -0.72), (0, -0.80)])  # fmt: skip
    _crown(painter, body, path, colour)
    with painter.inside(path):
        painter.soft(s * 0.45, -0.85, 0.34, 0.2, scaled(colour, 0.55), 0.7)
    painter.stroke(curve([(s * -0.42, -0.73), (0, -0.82), (s * 0.38, -0.73)]), scaled(colour, 0.62), 0.045, solid=True)
    painter.stroke(line((s * 0.1, -1.23), (s * 0.13, -1.31)), scaled(colour, 0.7), 0.05, solid=True)


def _cap(painter: Painter, body: Body, colour: Colour) -> None:
    t = 1 if body.turn >= 0 else -1
    dome = blob(mirrored([(0, -1.20), (0.28, -1.13), (0.41, -0.90), (0.42, -0.70), (0.2, -0.74), (0, -0.76)]))
    _crown(painter, body, dome, colour)
    painter.stroke(arc((0, -1.2), (t * 0.1, -1.0), (t * 0.1, -0.76)), scaled(colour, 0.66), 0.02, 0.6)
    painter.fill(oval(0, -1.2, 0.04, 0.03), scaled(colour, 0.7))
    visor = blob([(t * -0.30, -0.76), (t * 0.1, -0.80), (t * 0.46, -0.76), (t * 0.74, -0.60), (t * 0.42, -0.64),
                  (t * 0.05, -0.66), (t * -0.26, -0.68)])  # fmt: skip
    painter.gradient(visor, (0, -0.8), (0, -0.6), (scaled(colour, 0.92), scaled(colour, 0.62)))


_HATS = {"beanie": _beanie, "brim": _brim, "beret": _beret, "cap": _cap}
