"""Still lifes on a table: a vase of flowers, a bowl of fruit, a teapot with a cup."""

from __future__ import annotations

from ..light import Light, mix, scaled
from ..painter import Painter
from ..scene import Scene
from ..shapes import arc, blob, box, curve, line, mirrored, oval
from ..vocabulary import COLOURS, Colour
from .sky import sun_place

WOODS: tuple[Colour, ...] = ((172, 122, 82), (140, 98, 70), (190, 148, 108))
TOP = 0.72


def _tone(light: Light) -> Colour:
    return tuple(0.25 + 0.75 * v for v in light.near)  # type: ignore[return-value]


def table(painter: Painter, scene: Scene, light: Light) -> None:
    wood = scene.dice("table").choose(WOODS)
    with painter.lit(tuple(v * 0.86 for v in light.near) if scene["light"] == "night" else light.near):  # type: ignore[arg-type]
        painter.thing("table", "furniture", 0.5, 0.2)
        painter.gradient(box(-0.1, TOP, 1.1, 1.1), (0, TOP), (0, 1), (scaled(wood, 1.14), scaled(wood, 0.84)))
        painter.fill(box(-0.1, TOP - 0.006, 1.1, TOP + 0.012), scaled(wood, 1.3), solid=False)
        for k in range(4):
            y = TOP + 0.05 + 0.065 * k
            painter.stroke(
                curve([(-0.1, y), (0.3, y + 0.008), (0.7, y - 0.006), (1.1, y)]), scaled(wood, 0.78), 0.006, 0.5
            )


def _lit(scene: Scene) -> int:
    return 1 if sun_place(scene)[0] > 0.5 else -1


def _shadow(painter: Painter, lit: int, x: float, y: float, w: float) -> None:
    painter.soft(x - lit * w * 0.5, y, w * 1.5, w * 0.26, (50, 30, 24), 0.6)


def _pottery(painter: Painter, path, colour: Colour, lit: int, w: float) -> None:
    tones = (scaled(colour, 0.92), scaled(colour, 1.1), colour, scaled(colour, 0.68))
    painter.gradient(path, (lit * w, 0), (-lit * w, 0), tones, at=(0, 0.22, 0.5, 1))


def vase(painter: Painter, scene: Scene, light: Light) -> None:
    table(painter, scene, light)
    dice, colour, lit = scene.dice("vase"), COLOURS[scene["color"]], _lit(scene)
    x, kind = 0.5 - 0.09 * lit + dice.around(0, 0.03), dice.choose((0, 1))
    petals = [COLOURS[c] for c in ("red", "yellow", "white", "pink", "purple", "orange") if c != scene["color"]]
    with painter.placed(x, 0.86, 0.44), painter.lit(_tone(light)):
        _shadow(painter, lit, 0, 0, 0.34)
        painter.thing("flowers", "flower", 0.27)
        heads = [
            (-0.36, -1.14),
            (-0.12, -1.34),
            (0.18, -1.30),
            (0.40, -1.08),
            (0.02, -1.08),
            (-0.24, -0.94),
            (0.24, -0.92),
        ]
        heads = [(u + dice.around(0, 0.04), v + dice.around(0, 0.05)) for u, v in heads]
        for u, v in heads:
            painter.stroke(
                curve([(u * 0.15, -0.68), (u * 0.6, (v - 0.68) / 2), (u, v)]), (84, 132, 84), 0.028, solid=True
            )
        for side in (-1, 1):
            for v in (-0.86, -1.02):
                leaf = blob(
                    [(side * 0.05, v + 0.12), (side * 0.26, v + 0.02), (side * 0.46, v - 0.04), (side * 0.28, v + 0.12)]
                )
                painter.fill(leaf, (92, 148, 90))
        few = [dice.choose(petals), dice.choose(petals)]
        for k, (u, v) in enumerate(heads):
            _flower(painter, u, v, 0.155 * dice.between(0.85, 1.1), few[k % 2])
        painter.thing("vase", "vase", 0.25, roundness=0.7)
        if kind:
            half = [(0, -0.74), (0.16, -0.74), (0.12, -0.62), (0.25, -0.42), (0.28, -0.22), (0.20, -0.02), (0, 0.015)]
        else:
            half = [(0, -0.74), (0.21, -0.74), (0.24, -0.60), (0.23, -0.34), (0.18, -0.12), (0.16, -0.01), (0, 0.01)]
        shape = blob(mirrored(half))
        _pottery(painter, shape, colour, lit, 0.27)
        with painter.inside(shape):
            painter.stroke(arc((-0.3, -0.30), (0, -0.24), (0.3, -0.30)), mix(colour, (255, 255, 255), 0.55), 0.03, 0.7)
            painter.soft(lit * 0.12, -0.42, 0.06, 0.17, (255, 255, 255), 0.75)
        painter.fill(oval(0, -0.735, 0.17 if kind else 0.21, 0.03), scaled(colour, 0.6))


def _flower(painter: Painter, x: float, y: float, r: float, colour: Colour) -> None:
    for u, v in ((0, -1), (0.95, -0.31), (0.59, 0.81), (-0.59, 0.81), (-0.95, -0.31)):
        painter.fill(oval(x + u * r * 0.52, y + v * r * 0.52, r * 0.5), scaled(colour, 1.04 if v < 0 else 0.88))
    core: Colour = (250, 206, 80) if colour != COLOURS["yellow"] else (176, 110, 60)
    painter.fill(oval(x, y, r * 0.33), core, solid=False)


_FRUITS: tuple[tuple[Colour, float], ...] = (
    ((206, 60, 56), 0.17), ((240, 150, 52), 0.16), ((160, 186, 74), 0.16), ((240, 204, 92), 0.15),
    ((122, 72, 118), 0.13),
)  # fmt: skip


def bowl(painter: Painter, scene: Scene, light: Light) -> None:
    table(painter, scene, light)
    dice, colour, lit = scene.dice("bowl"), COLOURS[scene["color"]], _lit(scene)
    x = 0.5 - 0.06 * lit + dice.around(0, 0.03)
    with painter.placed(x, 0.88, 0.58), painter.lit(_tone(light)):
        _shadow(painter, lit, 0, 0, 0.42)
        painter.thing("fruit", "fruit", 0.28, roundness=0.7)
        for u, v in ((-0.30, -0.52), (0.30, -0.52), (-0.13, -0.68), (0.14, -0.67), (0.0, -0.52)):
            fruit, r = dice.choose(_FRUITS)
            u, v = u + dice.around(0, 0.03), v + dice.around(0, 0.02)
            painter.ball(
                oval(u, v, r, r * 0.96),
                (u + lit * r * 0.4, v - r * 0.4),
                r * 1.5,
                scaled(fruit, 1.2),
                scaled(fruit, 0.72),
            )
            painter.soft(u + lit * r * 0.4, v - r * 0.45, r * 0.3, r * 0.25, (255, 255, 255), 0.8)
            painter.stroke(line((u, v - r * 0.9), (u + 0.02, v - r * 1.2)), (96, 74, 52), 0.022)
        painter.thing("bowl", "bowl", 0.25, roundness=0.7)
        shape = blob([(-0.52, -0.50), (-0.44, -0.24), (-0.20, -0.04), (0.20, -0.04), (0.44, -0.24), (0.52, -0.50),
                      (0.26, -0.43), (0, -0.415), (-0.26, -0.43)])  # fmt: skip
        painter.fill(box(-0.19, -0.08, 0.19, 0.015, 0.02), scaled(colour, 0.7))
        _pottery(painter, shape, colour, lit, 0.5)
        painter.stroke(
            curve([(-0.51, -0.49), (-0.26, -0.42), (0, -0.405), (0.26, -0.42), (0.51, -0.49)]),
            scaled(colour, 1.2),
            0.03,
        )
        with painter.inside(shape):
            painter.soft(lit * 0.26, -0.28, 0.08, 0.13, (255, 255, 255), 0.7)


def teapot(painter: Painter, scene: Scene, light: Light) -> None:
    table(painter, scene, light)
    dice, colour, lit = scene.dice("teapot"), COLOURS[scene["color"]], _lit(scene)
    x, flip = 0.47 - 0.05 * lit + dice.around(0, 0.02), dice.chance(0.5)
    x = 1 - x if flip and lit < 0 else x
    with painter.placed(0.44 if not flip else 0.56, 0.86, 0.54, flip=flip), painter.lit(_tone(light)):
        s = -lit if flip else lit
        _shadow(painter, s, 0, 0, 0.4)
        painter.thing("teapot", "teapot", 0.27, roundness=0.7)
        painter.stroke(
            curve([(-0.34, -0.58), (-0.56, -0.60), (-0.62, -0.36), (-0.36, -0.18)]),
            scaled(colour, 0.8),
            0.075,
            solid=True,
        )
        spout = blob(
            [(0.30, -0.20), (0.46, -0.30), (0.55, -0.56), (0.68, -0.64), (0.63, -0.50), (0.56, -0.24), (0.34, -0.08)]
        )
        painter.fill(spout, scaled(colour, 0.86))
        shape = blob(mirrored([(0, -0.72), (0.20, -0.69), (0.38, -0.48), (0.40, -0.26), (0.26, -0.03), (0, 0.0)]))
        _pottery(painter, shape, colour, s, 0.4)
        with painter.inside(shape):
            painter.soft(s * 0.20, -0.46, 0.09, 0.15, (255, 255, 255), 0.75)
            painter.stroke(
                arc((-0.45, -0.22), (0, -0.10), (0.45, -0.22)), mix(colour, (255, 255, 255), 0.5), 0.035, 0.7
            )
        lid = blob(mirrored([(0, -0.84), (0.14, -0.80), (0.23, -0.68), (0, -0.65)]))
        painter.fill(lid, scaled(colour, 0.9))
        painter.stroke(curve([(-0.23, -0.68), (0, -0.64), (0.23, -0.68)]), scaled(colour, 0.6), 0.02)
        painter.ball(oval(0, -0.88, 0.06), (0.02, -0.9), 0.09, scaled(colour, 1.2), scaled(colour, 0.7))
        for k in range(3):
            painter.soft(0.68 + 0.04 * (k % 2), -0.74 - 0.10 * k, 0.07, 0.09, (255, 255, 255), 0.4)
        painter.thing("cup", "cup", 0.23, roundness=0.6)
        _cup(painter, s)


def _cup(painter: Painter, lit: int) -> None:
    china: Colour = (246, 240, 230)
    painter.soft(0.62 - lit * 0.06, 0.17, 0.3, 0.06, (50, 30, 24), 0.5)
    painter.fill(oval(0.60, 0.15, 0.24, 0.045), scaled(china, 0.88))
    painter.stroke(
        curve([(0.74, -0.04), (0.86, -0.04), (0.84, 0.07), (0.72, 0.09)]), scaled(china, 0.84), 0.035, solid=True
    )
    shape = blob([(0.44, -0.10), (0.46, 0.04), (0.54, 0.14), (0.66, 0.14), (0.74, 0.04), (0.76, -0.10), (0.60, -0.08)])
    painter.gradient(shape, (0.6 + lit * 0.17, 0), (0.6 - lit * 0.17, 0), (china, scaled(china, 0.80)))
    painter.fill(oval(0.60, -0.095, 0.155, 0.03), (150, 88, 52))
