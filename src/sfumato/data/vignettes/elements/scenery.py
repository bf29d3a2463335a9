"""What a landscape shows when nothing else stands in it: firs, a lonely oak, a path, sails, gulls."""

from __future__ import annotations

from ..light import Light, mix, scaled
from ..painter import Painter
from ..scene import Scene
from ..shapes import arc, box, curve, line, oval, polygon
from ..vocabulary import Colour
from .land import SNOW, ground_colour, horizon
from .sky import sun_place


def landscape(painter: Painter, scene: Scene, light: Light) -> None:
    _SCENERY[scene["place"]](painter, scene, light)


def _seascape(painter: Painter, scene: Scene, light: Light) -> None:
    """Small sails on the horizon, gulls, a beach in the corner away from the sun."""
    dice, y = scene.dice("scenery"), horizon(scene)
    side = -1 if sun_place(scene)[0] > 0.5 else 1
    with painter.lit(light.land, light.haze, 0.2):
        for _ in range(2):
            x, s = 0.5 + side * dice.between(0.0, 0.4), dice.between(0.05, 0.10)
            v = y + s * 0.4
            painter.thing("sail", "boat", 0.85)
            painter.fill(polygon([(x, v - s * 1.7), (x + s * 0.8, v - s * 0.2), (x, v - s * 0.2)]), (250, 244, 230))
            painter.fill(
                polygon([(x - s * 0.08, v - s * 1.4), (x - s * 0.6, v - s * 0.2), (x - s * 0.08, v - s * 0.2)]),
                (236, 226, 210),
            )
            painter.fill(
                polygon(
                    [
                        (x - s * 0.8, v - s * 0.12),
                        (x + s * 0.9, v - s * 0.12),
                        (x + s * 0.55, v + s * 0.16),
                        (x - s * 0.5, v + s * 0.16),
                    ]
                ),
                (120, 84, 72),
            )
        sand: Colour = mix((230, 206, 160), SNOW, 0.8) if light.snowy else (230, 206, 160)
        painter.thing("beach", "ground", 0.4, 0.2)
        shore = curve([(0.5 + side * 0.65, 0.82), (0.5 + side * 0.3, 0.87), (0.5, 0.93), (0.5 - side * 0.2, 1.08)])
        shore.lineTo(0.5 + side * 0.7, 1.1)
        shore.close()
        painter.gradient(shore, (0, 0.8), (0, 1), (scaled(sand, 1.05), scaled(sand, 0.85)))
        painter.stroke(
            curve([(0.5 + side * 0.65, 0.815), (0.5 + side * 0.3, 0.865), (0.5, 0.925), (0.5 - side * 0.2, 1.07)]),
            (250, 252, 252),
            0.018,
            0.85,
        )
    for _ in range(3):
        x, v, s = 0.5 + side * dice.between(-0.1, 0.35), dice.between(0.12, 0.4), dice.between(0.03, 0.05)
        gull: Colour = (250, 250, 250) if scene["light"] == "night" else (70, 76, 92)
        painter.stroke(arc((x - s, v - s * 0.3), (x - s * 0.4, v - s * 0.6), (x, v)), gull, 0.009, 0.85)
        painter.stroke(arc((x, v), (x + s * 0.4, v - s * 0.6), (x + s, v - s * 0.3)), gull, 0.009, 0.85)


def _fir(painter: Painter, light: Light, x: float, y: float, s: float, tone: Colour) -> None:
    painter.fill(box(x - s * 0.05, y - s * 0.2, x + s * 0.05, y), (96, 72, 58))
    for k in range(3):
        w, top, bottom = s * (0.34 - 0.08 * k), y - s * (0.5 + 0.27 * k), y - s * (0.1 + 0.26 * k)
        painter.fill(polygon([(x, top), (x + w, bottom), (x - w, bottom)]), scaled(tone, 0.86 + 0.1 * k))
        if light.snowy:
            painter.fill(
                polygon(
                    [
                        (x, top),
                        (x + w * 0.6, top + (bottom - top) * 0.6),
                        (x, top + (bottom - top) * 0.45),
                        (x - w * 0.6, top + (bottom - top) * 0.6),
                    ]
                ),
                SNOW,
            )


def _alps(painter: Painter, scene: Scene, light: Light) -> None:
    """A lake at the foot of the range and firs at its sides."""
    dice = scene.dice("scenery")
    with painter.lit(light.land):
        painter.thing("lake", "water", 0.55, 0.3)
        x = 0.5 + dice.around(0, 0.1)
        lake = oval(x, 0.85, 0.36, 0.075)
        painter.gradient(lake, (0, 0.78), (0, 0.93), (mix((150, 200, 226), light.horizon, 0.3), (70, 136, 178)))
        for k in range(3):
            painter.stroke(
                line((x - 0.2 + 0.05 * k, 0.83 + 0.025 * k), (x + 0.08 + 0.05 * k, 0.83 + 0.025 * k)),
                (236, 246, 250),
                0.007,
                0.7,
            )
        painter.thing("firs", "plant", 0.3)
        for side in (-1, 1):
            for k in range(3):
                s = dice.between(0.24, 0.36) * (1 - 0.18 * k)
                u = 0.5 + side * (0.46 - 0.11 * k + dice.around(0, 0.03))
                _fir(painter, light, u, 0.97 - 0.05 * k, s, (58, 112, 84))


def _downs(painter: Painter, scene: Scene, light: Light) -> None:
    """A winding path, round trees and flowers in the grass."""
    dice = scene.dice("scenery")
    lit = 1 if sun_place(scene)[0] > 0.5 else -1
    with painter.lit(light.land):
        painter.thing("path", "ground", 0.5, 0.2)
        x = 0.5 - 0.1 * lit
        path = curve(
            [
                (x - 0.16, 1.05),
                (x - 0.02, 0.93),
                (x + 0.10 * lit - 0.03, 0.85),
                (x + 0.02, 0.775),
                (x + 0.035, 0.775),
                (x + 0.10 * lit + 0.04, 0.85),
                (x + 0.12, 0.93),
                (x + 0.14, 1.05),
            ]
        )
        path.close()
        painter.fill(path, ground_colour(light, (226, 204, 156)) if not light.snowy else (214, 212, 216))
        painter.thing("trees", "plant", 0.3)
        for side, s in ((-lit, 0.26), (lit, 0.18)):
            u, y = 0.5 + side * (0.32 + dice.around(0, 0.05)), 0.90 + dice.around(0, 0.02)
            painter.stroke(line((u, y), (u, y - s * 0.8)), (98, 72, 58), s * 0.13, solid=True)
            leaf = mix((74, 138, 78), SNOW, 0.7) if light.snowy else (74, 138, 78)
            for a, b, r in ((-0.3, -1.0, 0.42), (0.3, -1.0, 0.42), (0, -1.35, 0.46)):
                painter.ball(
                    oval(u + a * s, y + b * s, r * s),
                    (u + (a + 0.15 * lit) * s, y + (b - 0.2) * s),
                    r * s * 1.5,
                    scaled(leaf, 1.16),
                    scaled(leaf, 0.78),
                )
        if not light.snowy:
            for _ in range(14):
                u, y = dice.random(), dice.between(0.84, 0.99)
                painter.fill(
                    oval(u, y, 0.009), dice.choose(((250, 240, 236), (246, 210, 110), (226, 120, 120))), solid=False
                )


def _square(painter: Painter, scene: Scene, light: Light) -> None:
    """Street lamps and a tree on the square."""
    dice = scene.dice("scenery")
    lit = 1 if sun_place(scene)[0] > 0.5 else -1
    with painter.lit(light.land):
        painter.thing("tree", "plant", 0.3)
        u, s = 0.5 - lit * (0.26 + dice.around(0, 0.06)), 0.30
        leaf = mix((84, 140, 84), SNOW, 0.7) if light.snowy else (84, 140, 84)
        painter.stroke(line((u, 0.93), (u, 0.7)), (98, 72, 58), 0.03, solid=True)
        for a, b, r in ((-0.3, -0.9, 0.4), (0.3, -0.9, 0.4), (0, -1.2, 0.45)):
            painter.ball(
                oval(u + a * s, 0.93 + b * s, r * s),
                (u + (a + 0.15 * lit) * s, 0.93 + (b - 0.2) * s),
                r * s * 1.5,
                scaled(leaf, 1.16),
                scaled(leaf, 0.78),
            )
    painter.thing("lamp", "furniture", 0.3)
    x = 0.5 + lit * (0.2 + dice.around(0, 0.06))
    painter.stroke(line((x, 0.94), (x, 0.56)), (44, 46, 56), 0.02, solid=True)
    glow: Colour = (255, 220, 130) if light.windows_lit or scene["light"] in ("rain", "fog") else (236, 236, 226)
    if light.windows_lit:
        painter.soft(x, 0.53, 0.17, 0.17, glow, 0.6)
    painter.fill(oval(x, 0.535, 0.034), glow)


_SCENERY = {"sea": _seascape, "mountains": _alps, "hills": _downs, "town": _square}
