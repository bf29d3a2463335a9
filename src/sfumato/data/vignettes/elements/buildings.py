"""House, lighthouse and windmill."""

from __future__ import annotations

from math import cos, radians, sin

from ..light import Light, mix, scaled
from ..painter import Painter
from ..scene import Scene
from ..shapes import arc, blob, box, line, oval, polygon
from ..vocabulary import COLOURS, Colour
from .land import SNOW
from .sky import sun_place

GLASS: Colour = (92, 110, 134)
LAMP: Colour = (255, 216, 112)


def _pane(painter: Painter, light: Light, left: float, top: float, right: float, bottom: float) -> None:
    """A window with white frame; warm when the light asks for lamps."""
    with painter.lit((1, 1, 1)) if light.windows_lit else painter.lit(light.near):
        painter.fill(box(left, top, right, bottom), LAMP if light.windows_lit else GLASS, solid=False)
        if light.windows_lit:
            x, y = (left + right) / 2, (top + bottom) / 2
            painter.soft(x, y, (right - left) * 1.3, (bottom - top) * 1.1, LAMP, 0.35)
    painter.stroke(box(left, top, right, bottom), (244, 238, 226), 0.03)
    painter.stroke(line(((left + right) / 2, top), ((left + right) / 2, bottom)), (244, 238, 226), 0.02)


def house(painter: Painter, scene: Scene, light: Light) -> None:
    dice, colour = scene.dice("house"), COLOURS[scene["color"]]
    lit = 1 if sun_place(scene)[0] > 0.5 else -1
    size, x = dice.between(0.46, 0.56), 0.5 - 0.06 * lit + dice.around(0, 0.05)
    roof = dice.choose(((122, 78, 70), (98, 92, 104), (138, 100, 76)))
    roof = mix(roof, SNOW, 0.9) if light.snowy else roof
    chimney, door = dice.choose((-1, 1)), dice.choose(((96, 66, 54), (70, 76, 88)))
    with painter.placed(x, 0.88, size), painter.lit(light.near):
        painter.thing("house", "building", 0.35)
        painter.soft(0, 0.02, 0.75, 0.1, (40, 50, 50), 0.5)
        painter.fill(box(chimney * 0.3 - 0.07, -1.12, chimney * 0.3 + 0.07, -0.7), (150, 104, 88))
        wall = box(-0.5, -0.68, 0.5, 0.0)
        painter.gradient(
            wall, (lit * 0.5, 0), (-lit * 0.5, 0), (scaled(colour, 1.05), colour, scaled(colour, 0.8)), at=(0, 0.5, 1)
        )
        gable = polygon([(-0.5, -0.67), (0.5, -0.67), (0, -1.14)])
        painter.fill(gable, scaled(colour, 0.92))
        for k in range(5):
            painter.stroke(line((-0.5, -0.13 * (k + 0.5)), (0.5, -0.13 * (k + 0.5))), scaled(colour, 0.8), 0.008, 0.5)
        for side in (-1, 1):
            slope = polygon([(0, -1.24), (side * 0.62, -0.66), (side * 0.60, -0.56), (side * 0.5, -0.62), (0, -1.09)])
            painter.fill(slope, scaled(roof, 1.08 if side == lit else 0.82))
        painter.fill(box(-0.11, -0.40, 0.11, 0.0, 0.03), door)
        painter.fill(oval(0.07, -0.19, 0.018), (236, 206, 120), solid=False)
        _pane(painter, light, -0.40, -0.48, -0.20, -0.24)
        _pane(painter, light, 0.20, -0.48, 0.40, -0.24)
        _pane(painter, light, -0.09, -0.86, 0.09, -0.64)
        for k in range(4):
            puff = 0.05 + 0.022 * k
            painter.soft(chimney * (0.3 + 0.05 * k), -1.2 - 0.11 * k, puff * 1.4, puff * 1.4, (240, 238, 236), 0.7)
        painter.thing("bushes", "plant", 0.33)
        leaf = mix((70, 128, 78), SNOW, 0.75) if light.snowy else (70, 128, 78)
        with painter.lit(light.land):
            for u, r in ((-0.52, 0.10), (-0.38, 0.07), (0.48, 0.09), (0.60, 0.07)):
                painter.ball(
                    oval(u, -r * 0.6, r * 1.1, r), (u - 0.03, -r), r * 1.5, scaled(leaf, 1.2), scaled(leaf, 0.8)
                )


def lighthouse(painter: Painter, scene: Scene, light: Light) -> None:
    dice, colour = scene.dice("lighthouse"), COLOURS[scene["color"]]
    lit = 1 if sun_place(scene)[0] > 0.5 else -1
    x, foot = 0.5 - 0.10 * lit + dice.around(0, 0.06), dice.between(0.80, 0.86)
    with painter.lit(light.land):
        rock = mix((112, 106, 108), SNOW, 0.6) if light.snowy else (112, 106, 108)
        painter.thing("rocks", "ground", 0.35, roundness=0.4)
        outline = blob([(x - 0.34, 1.02), (x - 0.27, foot + 0.05), (x - 0.12, foot - 0.02), (x + 0.10, foot - 0.03),
                        (x + 0.25, foot + 0.04), (x + 0.36, 1.02), (x, 1.1)])  # fmt: skip
        painter.gradient(outline, (0, foot), (0, 1), (scaled(rock, 1.15), scaled(rock, 0.65)))
    with painter.placed(x, foot + 0.01, 0.62), painter.lit(light.near):
        painter.thing("lighthouse", "lighthouse", 0.33, roundness=0.5)
        tower = polygon([(-0.17, 0), (0.17, 0), (0.115, -0.80), (-0.115, -0.80)])
        tones = (scaled(colour, 1.06), colour, scaled(colour, 0.72))
        painter.gradient(tower, (lit * 0.16, 0), (-lit * 0.16, 0), tones, at=(0, 0.5, 1))
        with painter.inside(tower):
            band: Colour = (190, 186, 180) if scene["color"] == "white" else (244, 240, 232)
            for v in (-0.30, -0.62):
                painter.gradient(
                    box(-0.2, v, 0.2, v + 0.11), (lit * 0.16, 0), (-lit * 0.16, 0), (band, scaled(band, 0.76))
                )
        painter.fill(box(-0.035, -0.14, 0.035, 0.0, 0.02), (74, 62, 58))
        painter.fill(box(-0.022, -0.47, 0.022, -0.40), LAMP if light.windows_lit else GLASS, solid=False)
        painter.fill(box(-0.155, -0.84, 0.155, -0.79, 0.01), (70, 70, 80))
        lamp = LAMP if light.windows_lit or scene["light"] in ("fog", "rain") else (206, 224, 232)
        painter.fill(box(-0.075, -0.985, 0.075, -0.84), lamp)
        for u in (-0.075, 0, 0.075):
            painter.stroke(line((u, -0.985), (u, -0.84)), (70, 70, 80), 0.014)
        painter.fill(polygon([(-0.115, -0.98), (0.115, -0.98), (0, -1.10)]), scaled(colour, 0.7))
        if lamp == LAMP:
            with painter.lit((1, 1, 1)):
                painter.soft(0, -0.91, 0.34, 0.30, LAMP, 0.7)
                beam = polygon([(0, -0.93), (lit * 1.3, -1.20), (lit * 1.3, -0.78), (0, -0.89)])
                painter.gradient(beam, (0, 0), (lit * 1.2, 0), (LAMP, LAMP), alphas=(0.65, 0.0), solid=False)
    _foam(painter, x)


def _foam(painter: Painter, x: float) -> None:
    for k in range(6):
        u, v = (k - 2.5) * 0.13, 0.97 + 0.012 * (k % 2)
        painter.stroke(arc((x + u - 0.06, v), (x + u, v - 0.03), (x + u + 0.06, v)), (240, 248, 252), 0.012, 0.75)


def windmill(painter: Painter, scene: Scene, light: Light) -> None:
    dice, colour = scene.dice("windmill"), COLOURS[scene["color"]]
    lit = 1 if sun_place(scene)[0] > 0.5 else -1
    x, turn = 0.5 - 0.05 * lit + dice.around(0, 0.05), dice.between(15, 75)
    with painter.placed(x, 0.90, 0.60), painter.lit(light.near):
        painter.thing("windmill", "windmill", 0.35, roundness=0.3)
        painter.soft(0, 0.0, 0.45, 0.07, (40, 50, 50), 0.5)
        tower = polygon([(-0.27, 0), (0.27, 0), (0.17, -0.80), (-0.17, -0.80)])
        tones = (scaled(colour, 1.06), colour, scaled(colour, 0.74))
        painter.gradient(tower, (lit * 0.25, 0), (-lit * 0.25, 0), tones, at=(0, 0.5, 1))
        cap = blob([(-0.20, -0.79), (-0.16, -0.93), (0, -1.0), (0.16, -0.93), (0.20, -0.79), (0, -0.77)])
        roof = (112, 84, 74)
        painter.fill(cap, mix(roof, SNOW, 0.85) if light.snowy else roof)
        painter.fill(box(-0.07, -0.22, 0.07, 0.0, 0.04), (92, 66, 54))
        _pane(painter, light, -0.06, -0.52, 0.06, -0.38)
        painter.thing("sails", "windmill", 0.32)
        for k in range(4):
            a = radians(turn + 90 * k)
            ux, uy, vx, vy = cos(a), sin(a), -sin(a), cos(a)
            at = [
                (ux * r + vx * s, -0.84 + uy * r + vy * s)
                for r, s in ((0.10, 0.02), (0.62, 0.02), (0.62, 0.16), (0.10, 0.12))
            ]
            painter.fill(polygon(at), (246, 238, 220), 0.96)
            for r in (0.25, 0.4, 0.55):
                rung = line(
                    (ux * r + vx * 0.02, -0.84 + uy * r + vy * 0.02), (ux * r + vx * 0.15, -0.84 + uy * r + vy * 0.15)
                )
                painter.stroke(rung, (150, 124, 100), 0.012)
            painter.stroke(line((0, -0.84), (ux * 0.64, -0.84 + uy * 0.64)), (96, 70, 56), 0.032, solid=True)
        painter.fill(oval(0, -0.84, 0.05), (84, 62, 50))
