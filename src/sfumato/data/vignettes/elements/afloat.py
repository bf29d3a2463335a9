"""Sailing boat and hot-air balloon."""

from __future__ import annotations

from ..light import Light, mix, scaled
from ..painter import Painter
from ..scene import Scene
from ..shapes import arc, blob, box, curve, line, mirrored, polygon
from ..vocabulary import COLOURS, Colour
from .land import horizon
from .sky import sun_place

CANVAS: Colour = (246, 236, 214)


def boat(painter: Painter, scene: Scene, light: Light) -> None:
    """A boat with hull and sails of its colour (the mainsail paler), and its broken reflection."""
    dice, colour = scene.dice("boat"), COLOURS[scene["color"]]
    lit = 1 if sun_place(scene)[0] > 0.5 else -1
    x, y = 0.5 - 0.05 * lit + dice.around(0, 0.07), max(horizon(scene) + 0.12, dice.between(0.68, 0.78))
    size, flip, lean = dice.between(0.52, 0.62), dice.chance(0.5), dice.around(0, 6)
    with painter.lit(light.near, light.zenith, 0.18):
        for k in range(7):
            w = size * (0.40 - 0.045 * k) * dice.between(0.8, 1.1)
            v, u = y + 0.03 + 0.028 * k, x + dice.around(0, 0.02)
            painter.stroke(line((u - w, v), (u + w, v)), scaled(colour, 0.86), 0.014, 0.6 - 0.06 * k)
    with painter.placed(x, y, size, lean, flip=flip), painter.lit(light.near):
        s = -lit if flip else lit
        painter.thing("boat", "boat", 0.4, roundness=0.3)
        painter.stroke(line((0.02, -0.02), (0.02, -1.02)), (112, 80, 60), 0.03, solid=True)
        main = blob(
            [(0.05, -0.98), (0.20, -0.70), (0.36, -0.42), (0.45, -0.20), (0.24, -0.19), (0.05, -0.20), (0.05, -0.55)]
        )
        painter.gradient(
            main, (s * 0.4, -0.6), (-s * 0.2, -0.3), (mix(colour, CANVAS, 0.15), colour, scaled(colour, 0.86))
        )
        jib = blob([(-0.02, -0.90), (-0.16, -0.60), (-0.38, -0.22), (-0.2, -0.19), (-0.02, -0.21), (-0.02, -0.5)])
        painter.gradient(jib, (s * 0.1, -0.6), (-s * 0.4, -0.3), (CANVAS, scaled(CANVAS, 0.86)))
        painter.fill(polygon([(0.02, -1.02), (0.02, -1.10), (0.17, -1.055)]), scaled(colour, 0.8))
        for a, b in (((0.06, -0.55), (0.28, -0.52)), ((0.06, -0.36), (0.37, -0.33))):
            painter.stroke(line(a, b), scaled(colour, 0.72), 0.012, 0.6)
        hull = blob([(-0.56, -0.16), (-0.46, 0.0), (-0.26, 0.09), (0.26, 0.09), (0.43, 0.0), (0.50, -0.15),
                     (0.24, -0.10), (0, -0.09), (-0.26, -0.11)])  # fmt: skip
        painter.gradient(hull, (0, -0.15), (0, 0.09), (scaled(colour, 1.02), scaled(colour, 0.70)))
        painter.stroke(
            curve([(-0.55, -0.15), (-0.26, -0.10), (0, -0.08), (0.24, -0.09), (0.49, -0.14)]), (250, 244, 230), 0.026
        )
    with painter.lit(light.land):
        for k in range(3):
            v = y + 0.035 + 0.02 * k
            painter.stroke(
                arc((x - 0.3 + 0.05 * k, v), (x, v + 0.02), (x + 0.28 - 0.05 * k, v)), (240, 248, 252), 0.009, 0.7
            )


def balloon(painter: Painter, scene: Scene, light: Light) -> None:
    """A striped envelope with a basket, high over the land."""
    dice, colour = scene.dice("balloon"), COLOURS[scene["color"]]
    lit = 1 if sun_place(scene)[0] > 0.5 else -1
    x, y, size = 0.5 - 0.10 * lit + dice.around(0, 0.05), dice.between(0.36, 0.40), dice.between(0.27, 0.31)
    stripe: Colour = (212, 204, 196) if scene["color"] == "white" else CANVAS
    with painter.placed(x, y, size, dice.around(0, 4)), painter.lit(light.near):
        painter.thing("basket", "balloon", 0.42)
        for u in (-0.14, 0.14):
            painter.stroke(line((u * 2.0, 0.84), (u, 1.34)), (110, 84, 64), 0.022, solid=True)
        painter.gradient(box(-0.17, 1.32, 0.17, 1.58, 0.05), (0, 1.3), (0, 1.6), ((176, 126, 80), (128, 88, 58)))
        painter.stroke(line((-0.17, 1.35), (0.17, 1.35)), (100, 70, 48), 0.03)
        painter.thing("balloon", "balloon", 0.40, roundness=0.8)
        shape = blob(
            mirrored([(0, -1.0), (0.56, -0.83), (0.93, -0.30), (0.88, 0.18), (0.52, 0.66), (0.26, 0.95), (0, 0.99)])
        )
        painter.fill(shape, colour)
        with painter.inside(shape):
            for u, w in ((-0.62, 0.12), (0.62, 0.12)):
                band = blob(
                    [
                        (u * 0.2, -1.05),
                        (u + w, -0.2),
                        (u * 0.45 + w * 0.4, 1.0),
                        (u * 0.45 - w * 0.4, 1.0),
                        (u - w, -0.2),
                    ]
                )
                painter.fill(band, stripe, solid=False)
            for u in (-0.34, 0.0, 0.34):
                painter.stroke(curve([(0, -1.0), (u, -0.2), (u * 0.5, 1.0)]), scaled(colour, 0.74), 0.025, 0.7)
            painter.soft(-lit * 0.75, 0.25, 0.75, 1.1, scaled(colour, 0.45), 0.75)
            painter.soft(lit * 0.42, -0.5, 0.42, 0.42, (255, 255, 255), 0.55)
        painter.fill(box(-0.25, 0.93, 0.25, 1.0, 0.02), scaled(colour, 0.6))
        if light.windows_lit:
            with painter.lit((1, 1, 1)):
                painter.soft(0, 1.0, 0.3, 0.36, (255, 206, 110), 0.8)
