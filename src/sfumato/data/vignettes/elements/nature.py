"""Tree, bird and cat."""

from __future__ import annotations

from sfumato.lazy import skia

from ..light import Light, mix, scaled
from ..painter import Painter
from ..scene import Scene
from ..shapes import arc, blob, box, curve, line, mirrored, oval, polygon
from ..vocabulary import COLOURS, Colour
from .land import SNOW
from .sky import sun_place


def _lit(scene: Scene) -> int:
    return 1 if sun_place(scene)[0] > 0.5 else -1


def tree(painter: Painter, scene: Scene, light: Light) -> None:
    dice, colour, lit = scene.dice("tree"), COLOURS[scene["color"]], _lit(scene)
    x, size = 0.5 - 0.06 * lit + dice.around(0, 0.06), dice.between(0.86, 1.0)
    bark: Colour = (98, 70, 56)
    with painter.placed(x, 0.92, size * 0.8), painter.lit(light.near):
        painter.soft(0, 0.0, 0.4, 0.06, (40, 50, 50), 0.5)
        painter.thing("trunk", "plant", 0.34, roundness=0.4)
        trunk = blob(
            [(-0.12, 0.01), (-0.055, -0.12), (-0.045, -0.45), (0.045, -0.45), (0.055, -0.12), (0.12, 0.01), (0, -0.01)]
        )
        painter.gradient(trunk, (lit * 0.07, 0), (-lit * 0.07, 0), (scaled(bark, 1.15), scaled(bark, 0.7)))
        painter.stroke(curve([(0, -0.3), (-0.1, -0.48), (-0.2, -0.56)]), bark, 0.035, solid=True)
        painter.stroke(curve([(0, -0.26), (0.1, -0.46), (0.2, -0.54)]), bark, 0.035, solid=True)
        painter.thing("tree", "plant", 0.33, roundness=0.6)
        lumps = [(-0.30, -0.50, 0.16), (0.30, -0.50, 0.16), (-0.10, -0.46, 0.18), (0.12, -0.46, 0.18),
                 (-0.33, -0.68, 0.17), (0.33, -0.68, 0.17), (0, -0.66, 0.26), (-0.19, -0.83, 0.19),
                 (0.19, -0.83, 0.19), (0, -0.92, 0.17)]  # fmt: skip
        lumps = [(u + dice.around(0, 0.03), v + dice.around(0, 0.03), r * dice.between(0.92, 1.1)) for u, v, r in lumps]
        crown = skia.Path()
        for u, v, r in lumps:
            crown.addPath(oval(u, v, r))
        painter.ball(crown, (lit * 0.2, -0.92), 0.85, scaled(colour, 1.06), scaled(colour, 0.70))
        with painter.inside(crown):
            for u, v, r in lumps:
                painter.soft(u - lit * r * 0.3, v + r * 0.55, r, r * 0.6, scaled(colour, 0.55), 0.55)
                painter.soft(u + lit * r * 0.3, v - r * 0.4, r * 0.8, r * 0.6, scaled(colour, 1.18), 0.6)
        for _ in range(34):
            u, v, r = dice.choose(lumps)
            a, b = dice.around(0, r), dice.around(0, r)
            tone = scaled(colour, 1.16) if a * lit > b else scaled(colour, 0.72)
            painter.fill(oval(u + a * 0.8, v + b * 0.8, 0.02, 0.014), tone, 0.7, solid=False)
        if light.snowy:
            for u, v, r in lumps[4:]:
                cap = blob([(u - r * 0.75, v - r * 0.55), (u - r * 0.4, v - r * 0.95), (u, v - r * 1.04),
                            (u + r * 0.4, v - r * 0.95), (u + r * 0.75, v - r * 0.55), (u, v - r * 0.68)])  # fmt: skip
                painter.fill(cap, SNOW)


def bird(painter: Painter, scene: Scene, light: Light) -> None:
    dice, colour, lit = scene.dice("bird"), COLOURS[scene["color"]], _lit(scene)
    bark: Colour = (112, 82, 64)
    y, size = dice.between(0.70, 0.76), dice.between(0.44, 0.54)
    with painter.lit(light.near):
        if scene["place"] == "room":
            _shelf(painter, y, bark)
        else:
            _branch(painter, light, y, dice.between(-0.05, 0.05), bark)
    flip = dice.chance(0.5)
    with painter.placed(0.5 + dice.around(0, 0.06), y - 0.01, size, flip=flip), painter.lit(light.near):
        s = -lit if flip else lit
        for u in (-0.05, 0.09):
            painter.stroke(line((u, -0.08), (u + 0.01, 0.03)), (120, 84, 60), 0.03)
        painter.thing("bird", "bird", 0.25, roundness=0.6)
        tail = blob([(-0.24, -0.34), (-0.56, -0.20), (-0.74, -0.02), (-0.64, 0.06), (-0.44, 0.02), (-0.12, -0.12)])
        painter.fill(tail, scaled(colour, 0.68))
        body = blob([(-0.36, -0.30), (-0.22, -0.56), (0.02, -0.72), (0.12, -0.90), (0.30, -0.99), (0.47, -0.91),
                     (0.53, -0.74), (0.52, -0.48), (0.42, -0.20), (0.18, -0.04), (-0.14, -0.06)])  # fmt: skip
        painter.ball(body, (0.15 + s * 0.15, -0.66), 0.85, scaled(colour, 1.08), scaled(colour, 0.76))
        with painter.inside(body):
            painter.soft(0.38, -0.34, 0.27, 0.34, (252, 244, 226), 0.9)
            painter.soft(0.34, -0.70, 0.12, 0.09, (255, 170, 150), 0.35)
        wing = blob(
            [
                (0.14, -0.54),
                (-0.06, -0.56),
                (-0.28, -0.38),
                (-0.48, -0.12),
                (-0.24, -0.14),
                (0.04, -0.18),
                (0.18, -0.36),
            ]
        )
        painter.gradient(wing, (0, -0.55), (-0.2, -0.1), (scaled(colour, 0.92), scaled(colour, 0.66)))
        for k in range(3):
            feather = arc(
                (0.06 - 0.1 * k, -0.24 + 0.02 * k), (-0.1 - 0.1 * k, -0.21), (-0.24 - 0.06 * k, -0.17 + 0.01 * k)
            )
            painter.stroke(feather, scaled(colour, 0.52), 0.022, 0.7)
        beak = polygon([(0.505, -0.86), (0.68, -0.77), (0.52, -0.73)])
        painter.fill(beak, (240, 168, 60) if scene["color"] not in ("orange", "yellow") else (112, 84, 70))
        painter.fill(oval(0.385, -0.83, 0.052), (28, 24, 30), solid=False)
        painter.fill(oval(0.402, -0.848, 0.018), (255, 255, 255), solid=False)


def _shelf(painter: Painter, y: float, wood: Colour) -> None:
    painter.thing("shelf", "furniture", 0.3)
    for x in (0.16, 0.84):
        painter.fill(polygon([(x - 0.02, y + 0.03), (x + 0.02, y + 0.03), (x, y + 0.14)]), scaled(wood, 0.7))
    painter.gradient(
        box(0.05, y - 0.005, 0.95, y + 0.045, 0.01), (0, y), (0, y + 0.05), (scaled(wood, 1.2), scaled(wood, 0.8))
    )


def _branch(painter: Painter, light: Light, y: float, tilt: float, bark: Colour) -> None:
    painter.thing("branch", "plant", 0.3)
    painter.stroke(
        curve([(-0.1, y + tilt), (0.3, y + 0.012), (0.7, y - 0.008), (1.1, y - tilt)]), bark, 0.042, solid=True
    )
    light_edge = curve([(-0.1, y + tilt - 0.01), (0.3, y), (0.7, y - 0.02), (1.1, y - tilt - 0.01)])
    painter.stroke(light_edge, scaled(bark, 1.25), 0.01)
    green: Colour = mix((104, 152, 88), SNOW, 0.8) if light.snowy else (104, 152, 88)
    for u, side in ((0.08, -1), (0.2, 1), (0.82, 1), (0.9, -1)):
        leaf = blob([(u, y), (u + 0.015, y + side * 0.055), (u + 0.08, y + side * 0.10), (u + 0.07, y + side * 0.03)])
        painter.fill(leaf, scaled(green, 1.1 if side < 0 else 0.85))


def _floor(painter: Painter, light: Light, wood: Colour) -> None:
    """Boards and an oval rug."""
    with painter.lit(light.near):
        painter.thing("floor", "furniture", 0.5, 0.27)
        painter.gradient(box(-0.1, 0.78, 1.1, 1.1), (0, 0.78), (0, 1), (scaled(wood, 1.12), scaled(wood, 0.85)))
        painter.fill(box(-0.1, 0.765, 1.1, 0.785), (240, 234, 222))
        for k in range(-3, 5):
            painter.stroke(line((0.5 + 0.14 * k, 0.785), (0.5 + 0.26 * k, 1.02)), scaled(wood, 0.76), 0.006, 0.6)
        painter.fill(oval(0.5, 0.92, 0.42, 0.085), (196, 180, 160))
        painter.stroke(oval(0.5, 0.92, 0.37, 0.066), (150, 128, 112), 0.012)


def cat(painter: Painter, scene: Scene, light: Light) -> None:
    dice, colour, lit = scene.dice("cat"), COLOURS[scene["color"]], _lit(scene)
    x, size, flip = 0.5 - 0.06 * lit + dice.around(0, 0.05), dice.between(0.60, 0.68), dice.chance(0.5)
    eyes = dice.choose(((150, 190, 80), (236, 190, 70), (110, 180, 200)))
    if scene["place"] == "room":
        _floor(painter, light, dice.choose(((150, 108, 78), (172, 132, 94))))
    with painter.placed(x, 0.93, size, flip=flip), painter.lit(light.near):
        s = -lit if flip else lit
        dark, bright = scaled(colour, 0.70), scaled(colour, 1.08)
        painter.soft(0.05, 0.0, 0.55, 0.08, (40, 40, 44), 0.5)
        painter.thing("cat", "cat", 0.25, roundness=0.6)
        tail = curve([(0.20, -0.07), (0.46, -0.07), (0.56, -0.22), (0.50, -0.40), (0.42, -0.48)])
        painter.stroke(tail, scaled(colour, 0.84), 0.11, solid=True)
        body = blob(mirrored([(0, -0.76), (0.17, -0.66), (0.27, -0.44), (0.35, -0.20), (0.31, -0.02), (0, 0.01)]))
        painter.gradient(body, (s * 0.3, -0.5), (-s * 0.32, -0.1), (bright, colour, dark), at=(0, 0.5, 1))
        with painter.inside(body):
            painter.soft(0, -0.40, 0.15, 0.26, mix(colour, (255, 250, 240), 0.7), 0.8)
        for side in (-1, 1):
            painter.fill(oval(side * 0.10, -0.035, 0.085, 0.055), mix(colour, (255, 250, 240), 0.35))
            painter.stroke(line((side * 0.02, -0.3), (side * 0.025, -0.04)), dark, 0.016, 0.6)
            ear = blob([(side * 0.06, -1.0), (side * 0.15, -1.12), (side * 0.27, -1.22), (side * 0.325, -1.05),
                        (side * 0.32, -0.86)])  # fmt: skip
            painter.fill(ear, scaled(colour, 0.92 if side == s else 0.8))
            inner = blob([(side * 0.16, -1.03), (side * 0.21, -1.10), (side * 0.265, -1.15), (side * 0.29, -1.02)])
            painter.fill(inner, (226, 150, 150), solid=False)
        head = blob(mirrored([(0, -1.06), (0.19, -1.02), (0.335, -0.88), (0.345, -0.74), (0.2, -0.60), (0, -0.565)]))
        painter.gradient(
            head, (s * 0.3, -1.0), (-s * 0.32, -0.7), (bright, colour, scaled(colour, 0.78)), at=(0, 0.5, 1)
        )
        with painter.inside(head):
            painter.soft(0, -0.66, 0.17, 0.11, (255, 250, 240), 0.85)
            for u in (-0.08, 0.0, 0.08):
                painter.stroke(line((u, -1.1), (u * 0.7, -0.98)), dark, 0.026, 0.7)
        for side in (-1, 1):
            eye = oval(side * 0.125, -0.835, 0.06, 0.058)
            painter.fill(eye, eyes, solid=False)
            painter.stroke(eye, (44, 34, 36), 0.018)
            painter.fill(oval(side * 0.125, -0.835, 0.024, 0.05), (20, 18, 22), solid=False)
            painter.fill(oval(side * 0.125 + 0.02, -0.86, 0.015), (255, 255, 255), solid=False)
            for v in (-0.02, 0.02):
                painter.stroke(
                    line((side * 0.12, -0.69 + v), (side * 0.36, -0.71 + 2.4 * v)), (250, 246, 240), 0.009, 0.8
                )
        painter.fill(polygon([(-0.035, -0.745), (0.035, -0.745), (0, -0.705)]), (206, 110, 116), solid=False)
        for side in (-1, 1):
            painter.stroke(arc((0, -0.705), (side * 0.03, -0.65), (side * 0.075, -0.675)), (80, 52, 52), 0.016)
