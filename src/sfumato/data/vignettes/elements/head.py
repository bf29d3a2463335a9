"""Heads: face, features, beards and hair, in the local coordinates of `figure`."""

from __future__ import annotations

from sfumato.lazy import skia

from ..light import Light, mix, scaled
from ..painter import Painter
from ..scene import Scene
from ..shapes import Point, arc, blob, curve, line, mirrored, oval
from ..vocabulary import NONE, Colour
from .body import Body

WOMEN = ("long", "wavy", "bob", "bun", "ponytail", "curls")
MEN = ("short", "side", "swept", "curly")
BEARDS = ("none", "beard", "moustache")

_WOMAN: list[Point] = [
    (0, -1.0),
    (0.25, -0.94),
    (0.36, -0.70),
    (0.355, -0.42),
    (0.285, -0.15),
    (0.13, -0.015),
    (0, 0.01),
]
_MAN: list[Point] = [(0, -1.0), (0.27, -0.94), (0.375, -0.70), (0.37, -0.38), (0.325, -0.13), (0.18, 0.0), (0, 0.02)]


def outline(body: Body) -> skia.Path:
    return blob(mirrored(_WOMAN if body.woman else _MAN))


def behind(painter: Painter, scene: Scene, body: Body) -> None:
    """The hair that hangs behind neck and shoulders."""
    colour, style = scaled(body.hair, 0.80), body.hair_style
    if style in ("long", "wavy"):
        w = 0.50 if style == "long" else 0.58
        right = [(0, -1.06), (0.34, -0.98), (0.46, -0.6), (w * 0.94, -0.2), (w * 1.02, 0.2), (w, 0.62),
                 (w * 0.55, 0.78), (0, 0.7)]  # fmt: skip
        painter.fill(blob(mirrored(right)), colour)
        if style == "wavy":
            for side in (-1, 1):
                waves = [(side * (w - 0.16 + 0.08 * (k % 2)), -0.7 + 0.24 * k) for k in range(6)]
                painter.stroke(curve(waves), colour, 0.3, solid=True)
    elif style == "bob":
        right = [(0, -1.06), (0.34, -0.98), (0.46, -0.6), (0.50, -0.2), (0.46, 0.06), (0.3, 0.08), (0, 0.0)]
        painter.fill(blob(mirrored(right)), colour)
    elif style == "bun":
        painter.fill(oval(0, -0.62, 0.42, 0.46), colour)
        if scene["hat"] == NONE:
            painter.ball(oval(-body.shift, -1.14, 0.2), (0, -1.2), 0.3, scaled(body.hair, 1.1), colour)
        else:
            painter.fill(oval(-body.lit * 0.3, -0.1, 0.2), colour)
    elif style == "ponytail":
        painter.fill(oval(0, -0.62, 0.42, 0.46), colour)
        s = -body.lit
        tail = [(s * 0.3, -0.75), (s * 0.55, -0.55), (s * 0.66, -0.1), (s * 0.58, 0.4), (s * 0.42, 0.72),
                (s * 0.40, 0.3), (s * 0.34, -0.2)]  # fmt: skip
        painter.fill(blob(tail), colour)
    elif style == "curls":
        for x, y in ((-0.42, -0.75), (0.42, -0.75), (-0.52, -0.42), (0.52, -0.42), (-0.46, -0.1), (0.46, -0.1),
                     (0, -0.7), (-0.24, -0.98), (0.24, -0.98), (0, -1.04)):  # fmt: skip
            painter.fill(oval(x, y, 0.24), colour)


def face(painter: Painter, scene: Scene, light: Light, body: Body) -> None:
    skin, lit = body.skin, body.lit
    shape = outline(body)
    shade = mix(scaled(skin, 0.74), (150, 70, 80), 0.12)
    if body.hair_style not in ("long", "wavy", "bob", "curls"):
        for side in (-1, 1):
            painter.fill(oval(side * 0.37, -0.42, 0.065, 0.11), mix(skin, shade, 0.35))
    painter.gradient(
        shape,
        (lit * 0.4, -0.7),
        (-lit * 0.42, -0.2),
        (scaled(skin, 1.06), skin, mix(skin, shade, 0.75)),
        at=(0, 0.5, 1),
    )
    with painter.inside(shape):
        painter.soft(0, 0.05, 0.42, 0.2, shade, 0.5)
        painter.soft(0, -1.0, 0.5, 0.34, shade, 0.45)
        _features(painter, scene, body, shade)
        if body.beard == "beard":
            _beard(painter, body)


def _features(painter: Painter, scene: Scene, body: Body, shade: Colour) -> None:
    d, dice = body.shift, scene.dice("face")
    iris = dice.choose(((70, 46, 34), (60, 88, 120), (70, 100, 70), (50, 38, 36)))
    smile, blush = dice.between(0.02, 0.05), dice.between(0.25, 0.5)
    for side in (-1, 1):
        painter.soft(side * 0.22 + d, -0.26, 0.12, 0.09, (236, 96, 96), blush if body.woman else blush * 0.6)
        x, y = side * 0.16 + d, -0.47
        painter.soft(x, y - 0.03, 0.13, 0.10, shade, 0.5)
        painter.fill(oval(x, y, 0.072, 0.05), (252, 248, 244), solid=False)
        painter.fill(oval(x + 0.02 * body.turn, y, 0.046, 0.05), iris, solid=False)
        painter.fill(oval(x + 0.02 * body.turn, y, 0.024), (20, 16, 20), solid=False)
        painter.fill(oval(x + 0.02 * body.turn + 0.016, y - 0.02, 0.013), (255, 255, 255), solid=False)
        lid = arc((x - 0.085, y + 0.005), (x, y - 0.085), (x + 0.085, y + 0.005))
        painter.stroke(lid, (46, 30, 30), 0.034 if body.woman else 0.026)
        if body.woman:
            painter.stroke(line((x + side * 0.08, y), (x + side * 0.115, y - 0.03)), (46, 30, 30), 0.026)
        thick = 0.034 if body.woman else 0.056
        brow = arc((x - side * 0.07, y - 0.13), (x + side * 0.02, y - 0.175), (x + side * 0.11, y - 0.12))
        painter.stroke(brow, mix(scaled(body.hair, 0.7), (60, 40, 36), 0.3), thick, 0.9)
    side = 1 if d >= 0 else -1
    painter.stroke(
        arc((d * 1.15, -0.42), (d * 1.5 + side * 0.05, -0.30), (d * 1.3 - side * 0.03, -0.265)), shade, 0.03, 0.9
    )
    painter.soft(d * 1.3, -0.26, 0.09, 0.05, shade, 0.55)
    m, y = d * 1.1, -0.135
    lips: Colour = (196, 62, 74) if body.woman else mix(shade, (150, 60, 60), 0.5)
    if body.woman:
        painter.fill(blob([(m - 0.10, y), (m - 0.03, y - 0.03), (m + 0.03, y - 0.03), (m + 0.10, y),
                     (m, y + 0.05)]), lips, solid=False)  # fmt: skip
    painter.stroke(
        arc((m - 0.11, y - smile / 2), (m, y + smile * 1.4), (m + 0.11, y - smile / 2)), scaled(lips, 0.72), 0.026
    )
    if body.beard in ("moustache", "beard"):
        tache = [(m - 0.17, y + 0.0), (m - 0.07, y - 0.075), (m, y - 0.06), (m + 0.07, y - 0.075), (m + 0.17, y),
                 (m, y - 0.02)]  # fmt: skip
        painter.fill(blob(tache), scaled(body.hair, 0.85), solid=False)


def _beard(painter: Painter, body: Body) -> None:
    d = body.shift
    path = blob([
        (-0.37, -0.40), (-0.30, -0.25), (d - 0.17, -0.235), (d, -0.205), (d + 0.17, -0.235), (0.30, -0.25),
        (0.37, -0.40),
        (0.42, 0.0), (0.2, 0.1), (-0.2, 0.1), (-0.42, 0.0),
    ])  # fmt: skip
    mouth = oval(d * 1.1, -0.128, 0.10, 0.045)
    whole = skia.Op(path, mouth, skia.PathOp.kDifference_PathOp)
    painter.gradient(whole, (0, -0.35), (0, 0.05), (body.hair, scaled(body.hair, 0.78)), solid=False)


def hair(painter: Painter, scene: Scene, light: Light, body: Body) -> None:
    """The hair that frames the face."""
    style, colour = body.hair_style, body.hair
    part = -0.16 * body.lit + body.shift
    if body.woman:
        left, right, low = (-0.41, -0.40), (0.41, -0.40), -0.64
        if style in ("bun", "ponytail"):
            left, right, low = (-0.385, -0.52), (0.385, -0.52), -0.72
    else:
        left, right, low = (-0.39, -0.50), (0.39, -0.50), -0.70
    path = skia.Path()
    path.moveTo(*left)
    top = -1.12 if style not in ("swept", "curly") else -1.18
    path.cubicTo(-0.48, -0.86, -0.34, top, part, top)
    path.cubicTo(0.34, top, 0.48, -0.86, *right)
    path.quadTo(0.355, -0.56, 0.30, low)
    if style in ("bob", "curls", "curly", "short"):
        path.quadTo(0.16, -0.76, 0.0, -0.73)
        path.quadTo(-0.16, -0.76, -0.30, low)
    else:
        path.quadTo(0.18, -0.80, part, -0.86)
        path.quadTo(-0.18, -0.80, -0.30, low)
    path.quadTo(-0.355, -0.56, *left)
    path.close()
    bright, dark = scaled(colour, 1.14), scaled(colour, 0.78)
    lit = body.lit
    painter.gradient(path, (lit * 0.4, -1.1), (-lit * 0.4, -0.6), (bright, colour, dark), at=(0, 0.45, 1))
    if style in ("curls", "curly"):
        spread = 0.42 if style == "curls" else 0.36
        for k in range(7):
            u = (k - 3) / 3
            painter.fill(
                oval(u * spread, -0.98 + 0.26 * u * u, 0.14), mix(colour, bright if u * lit > 0 else dark, 0.5)
            )
    elif style in ("long", "bob"):
        length = {"long": 0.5, "bob": 0.02}[style]
        for side in (-1, 1):
            lock = [(side * 0.33, -0.70), (side * 0.43, -0.5), (side * 0.47, -0.1), (side * 0.43, length),
                    (side * 0.34, length + 0.02), (side * 0.345, -0.1), (side * 0.335, -0.45)]  # fmt: skip
            painter.fill(blob(lock), mix(colour, bright if side * lit > 0 else dark, 0.6))
    elif style == "wavy":
        for side in (-1, 1):
            tone = mix(colour, bright if side * lit > 0 else dark, 0.5)
            waves = [(side * (0.385 + 0.075 * (k % 2)), -0.66 + 0.2 * k) for k in range(6)]
            painter.stroke(curve(waves), tone, 0.13, solid=True)
            painter.stroke(curve([(x + 0.03 * lit, y) for x, y in waves]), scaled(tone, 1.14), 0.025, 0.7)
    with painter.inside(path):
        for k in (-0.16, 0.0, 0.16):
            strand = curve([(part + k * 0.3, top), (part + k - lit * 0.1, -0.95), (part + k * 1.4 - lit * 0.24, -0.7)])
            painter.stroke(strand, dark, 0.02, 0.5)
        painter.soft(lit * 0.24, -0.93, 0.2, 0.13, mix(light.glow, colour, 0.3), 0.5)
