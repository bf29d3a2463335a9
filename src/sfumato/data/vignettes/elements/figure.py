"""People, bust or half length: posture, torso, what they wear, and their skeleton.

Local coordinates: the chin at the origin, one unit = the height of the head, y down.
"""

from __future__ import annotations

from ..dice import Dice
from ..light import Light, mix, scaled
from ..painter import Painter
from ..scene import Scene
from ..shapes import Point, arc, blob, curve, line, mirrored, polygon
from ..vocabulary import COLOURS, NONE, Colour
from . import garments, head
from .body import Body
from .sky import sun_place

SKINS: tuple[Colour, ...] = (
    (254, 224, 200), (246, 206, 174), (230, 180, 142), (200, 146, 104), (156, 106, 76), (116, 78, 58),
)  # fmt: skip
HAIRS: tuple[Colour, ...] = (
    (44, 34, 36), (74, 50, 40), (118, 74, 46), (162, 102, 54), (222, 180, 104), (196, 92, 44), (158, 156, 160),
)  # fmt: skip
CLOTHES: tuple[Colour, ...] = ((96, 92, 98), (116, 100, 88), (78, 84, 92), (132, 120, 104))


def figure(painter: Painter, scene: Scene, light: Light) -> None:
    dice = scene.dice("body")
    sun, _ = sun_place(scene)
    lit = 1 if sun > 0.5 else -1
    size = dice.between(0.31, 0.40)
    x = 0.5 - 0.05 * lit + dice.around(0, 0.06)
    y = 0.07 + 1.30 * size + dice.between(0, 0.04)
    body = _body(dice, scene["subject"], lit)
    with painter.placed(x, y, size, dice.around(0, 6)), painter.lit(light.near):
        _person(painter, scene, light, body)


def _body(dice: Dice, subject: str, lit: int) -> Body:
    woman = subject == "woman"
    turn = dice.around(0, 1.0)
    skin, hair = dice.choose(SKINS), dice.choose(HAIRS)
    if skin[0] < 180 and hair[0] > 170:
        hair = HAIRS[0]
    long, short = dice.choose(head.WOMEN), dice.choose(head.MEN)
    beard = dice.weighted(head.BEARDS, (0.35, 0.4, 0.25))
    wide = dice.between(0.96, 1.06)
    return Body(woman, subject, (0.80 if woman else 0.98) * wide, turn, lit, skin, hair, long if woman else short,
                "none" if woman else beard)  # fmt: skip


def _person(painter: Painter, scene: Scene, light: Light, body: Body) -> None:
    hair = painter.thing("hair", "hair", 0.22, group=body.name, roundness=0.4)
    head.behind(painter, scene, body)
    skin = painter.thing("face", "skin", 0.16, group=body.name, roundness=0.6)
    _neck(painter, body)
    _torso(painter, scene, light, body)
    if scene["scarf"] != NONE:
        painter.thing("scarf", "scarf", 0.10, group=body.name, roundness=0.5)
        garments.scarf(painter, scene, body, COLOURS[scene["scarf"]])
    painter.resume(skin)
    head.face(painter, scene, light, body)
    if scene["mask"] != NONE:
        painter.thing("mask", "mask", 0.11, group=body.name, roundness=0.5)
        garments.mask(painter, body, COLOURS[scene["mask"]])
    painter.resume(hair)
    head.hair(painter, scene, light, body)
    if scene["headset"] != NONE:
        painter.thing("headset", "headset", 0.08, group=body.name, roundness=0.4)
        garments.headset(painter, body)
    elif scene["glasses"] != NONE:
        painter.thing("glasses", "glasses", 0.10, group=body.name)
        garments.glasses(painter, body)
    if scene["hat"] != NONE:
        painter.thing("hat", "hat", 0.12, group=body.name, roundness=0.6)
        garments.hat(painter, scene, light, body, COLOURS[scene["hat"]])
    _skeleton(painter, body)


def _neck(painter: Painter, body: Body) -> None:
    w = 0.155 if body.woman else 0.21
    neck = polygon([(-w, -0.3), (w, -0.3), (w * 1.05, 0.2), (w * 1.9, 0.42), (-w * 1.9, 0.42), (-w * 1.05, 0.2)])
    painter.gradient(neck, (0, -0.1), (0, 0.4), (scaled(body.skin, 0.68), scaled(body.skin, 0.92)))


def _torso(painter: Painter, scene: Scene, light: Light, body: Body) -> None:
    w, colour = body.shoulders, scene["jacket"]
    dice = scene.dice("clothes")
    neutral = dice.choose(CLOTHES)
    slope = 0.0 if body.woman else -0.03
    n = 0.17 if body.woman else 0.22
    right: list[Point] = [(0, 0.36), (n, 0.20), (w * 0.52, 0.33 + slope), (w * 0.88, 0.46 + slope), (w * 1.02, 0.74),
                          (w * 1.07, 1.3), (w * 1.12, 2.0), (w * 1.1, 2.8), (0, 2.9)]  # fmt: skip
    outline = blob(mirrored(right))
    if colour == NONE:
        painter.thing("clothes", "clothes", 0.15, group=body.name, roundness=0.5)
        _cloth(painter, light, body, outline, neutral)
        garments.jumper(painter, body, neutral)
    else:
        jacket = painter.thing("jacket", "jacket", 0.14, group=body.name, roundness=0.5)
        _cloth(painter, light, body, outline, COLOURS[colour])
        shirt = dice.choose(((92, 84, 82), (70, 74, 84), (140, 126, 110)))
        garments.jacket(painter, scene, body, outline, COLOURS[colour], shirt, jacket)


def _cloth(painter: Painter, light: Light, body: Body, outline, colour: Colour) -> None:
    """A torso of cloth: bright towards the light, folds at the arms, a thin rim of light."""
    w, lit = body.shoulders, body.lit
    painter.gradient(
        outline, (lit * w, 0.3), (-lit * w, 1.0), (scaled(colour, 1.07), colour, scaled(colour, 0.84)), at=(0, 0.5, 1)
    )
    dark = scaled(colour, 0.62)
    with painter.inside(outline):
        for side in (-1, 1):
            seam = curve([(side * w * v, y) for v, y in ((0.69, 0.66), (0.735, 0.95), (0.72, 1.6), (0.64, 2.9))])
            painter.stroke(seam, dark, 0.10, 0.18)
            painter.stroke(seam, dark, 0.035, 0.55)
            fold = arc((side * w * 0.76, 1.30), (side * w * 0.86, 1.42), (side * w * 0.98, 1.40))
            painter.stroke(fold, dark, 0.03, 0.3)
        painter.soft(-lit * w * 0.9, 1.2, 0.5, 1.0, dark, 0.4)
        painter.stroke(
            line((lit * w * 0.55, 0.32), (lit * w * 0.9, 0.46), (lit * w * 1.02, 0.74), (lit * w * 1.08, 1.4)),
            mix(light.glow, colour, 0.25), 0.045, 0.55,
        )  # fmt: skip


def _skeleton(painter: Painter, body: Body) -> None:
    """Marks the joints; left and right are the person's own, so left is on the picture's right."""
    w, d = body.shoulders, body.shift
    painter.mark("head", 0, -0.5)
    painter.mark("nose", d * 1.3, -0.30)
    painter.mark("neck", 0, 0.14)
    for name, side in (("left", 1), ("right", -1)):
        painter.mark(f"{name}_eye", side * 0.16 + d, -0.47)
        painter.mark(f"{name}_ear", side * 0.36, -0.42)
        painter.mark(f"{name}_shoulder", side * w * 0.86, 0.56)
        painter.mark(f"{name}_elbow", side * w * 0.98, 1.55)
        painter.mark(f"{name}_wrist", side * w * 0.9, 2.45)
        painter.mark(f"{name}_hip", side * w * 0.5, 2.6)
