"""Sky, sun, moon, stars and clouds; rain, snowflakes and mist in the air."""

from __future__ import annotations

from sfumato.lazy import skia

from ..light import Light, mix
from ..painter import Painter
from ..scene import Scene
from ..shapes import box, line, oval
from ..vocabulary import Colour


def sun_place(scene: Scene) -> tuple[float, float]:
    """Where the sun or moon stands: to one side, so that a head in the middle never hides it; low at sunset."""
    dice = scene.dice("sun")
    side = 0.5 + (-1 if dice.chance(0.5) else 1) * dice.between(0.28, 0.36)
    return side, dice.between(0.38, 0.46) if scene["light"] == "sunset" else dice.between(0.12, 0.2)


def sky(painter: Painter, scene: Scene, light: Light) -> None:
    painter.thing("sky", "sky", 1.0)
    painter.gradient(box(-0.1, -0.1, 1.1, 1.1), (0, 0), (0, 0.66), (light.zenith, light.middle, light.horizon))
    x, y = sun_place(scene)
    kind = scene["light"]
    if kind == "night":
        _stars(painter, scene)
        _moon(painter, scene, x, y)
    elif kind in ("day", "sunset"):
        painter.thing("sun", "sun or moon", 0.99)
        warm: Colour = (255, 196, 96) if kind == "sunset" else (255, 244, 196)
        painter.soft(x, y, 0.36, 0.36, warm, 0.75)
        radius = 0.075 if kind == "sunset" else 0.062
        painter.ball(oval(x, y, radius), (x, y), radius, (255, 250, 222), (255, 226, 130))
    _clouds(painter, scene, light)


def _moon(painter: Painter, scene: Scene, x: float, y: float) -> None:
    painter.thing("moon", "sun or moon", 0.99)
    painter.soft(x, y, 0.26, 0.26, (170, 190, 240), 0.6)
    disc = oval(x, y, 0.065)
    if scene.dice("moon").chance(0.5):
        disc = skia.Op(disc, oval(x + 0.03, y - 0.02, 0.056), skia.PathOp.kDifference_PathOp)
    painter.ball(disc, (x - 0.015, y - 0.015), 0.09, (255, 250, 226), (238, 222, 170))


def _stars(painter: Painter, scene: Scene) -> None:
    dice = scene.dice("stars")
    for _ in range(26):
        x, y, r = dice.random(), dice.between(0, 0.55), dice.between(0.003, 0.008)
        painter.fill(oval(x, y, r), (255, 248, 214), dice.between(0.6, 1.0), solid=False)


_CLOUD: dict[str, tuple[Colour, Colour, float]] = {
    "day": ((255, 255, 255), (214, 230, 244), 0.95),
    "sunset": ((255, 196, 160), (206, 112, 128), 0.85),
    "night": ((62, 80, 140), (34, 48, 102), 0.7),
    "rain": ((150, 160, 172), (92, 104, 122), 0.95),
    "snow": ((240, 244, 250), (196, 208, 226), 0.9),
    "fog": ((232, 232, 226), (210, 212, 206), 0.6),
}


def _clouds(painter: Painter, scene: Scene, light: Light) -> None:
    dice = scene.dice("clouds")
    bright, shade, alpha = _CLOUD[scene["light"]]
    painter.thing("cloud", "cloud", 0.97)
    for _ in range(3 if scene["light"] in ("rain", "snow") else 2):
        x, y, w = dice.random(), dice.between(0.07, 0.34), dice.between(0.14, 0.26)
        path = skia.Path()
        for k in range(5):
            u = (k - 2) / 2
            r = w * (0.34 - 0.16 * u * u) * dice.between(0.8, 1.15)
            path.addPath(oval(x + u * w * 0.8, y - r * 0.45, r * 1.2, r))
        path.addPath(box(x - w * 0.95, y - w * 0.1, x + w * 0.95, y + w * 0.07, w * 0.07))
        painter.gradient(path, (x, y - w * 0.45), (x, y + w * 0.1), (bright, shade), alphas=(alpha, alpha * 0.8))


def air(painter: Painter, scene: Scene, light: Light) -> None:
    """What falls or drifts between us and the things: drawn last, part of no instance."""
    if scene["place"] == "room":
        return
    dice = scene.dice("air")
    if scene["light"] == "rain":
        slant = dice.between(-0.25, 0.25)
        for _ in range(34):
            x, y, length = dice.between(-0.1, 1.1), dice.between(-0.05, 1.0), dice.between(0.06, 0.13)
            streak = line((x, y), (x + slant * length, y + length))
            painter.stroke(streak, (236, 242, 250), 0.0075, dice.between(0.35, 0.75))
    elif scene["light"] == "snow":
        for _ in range(46):
            r = dice.between(0.007, 0.017)
            painter.fill(oval(dice.random(), dice.random(), r), (255, 255, 255), dice.between(0.7, 1.0), solid=False)
    elif scene["light"] == "fog":
        for _ in range(3):
            x, y = dice.random(), dice.between(0.45, 0.95)
            painter.soft(x, y, dice.between(0.5, 0.8), dice.between(0.08, 0.14), light.haze, 0.55)


def mist(painter: Painter, scene: Scene, light: Light) -> None:
    """The veil that fog hangs between the background and what stands in front of it."""
    if scene["light"] == "fog" and scene["place"] != "room":
        veil = mix(light.haze, light.horizon, 0.4)
        whole = box(-0.1, -0.1, 1.1, 1.1)
        painter.gradient(whole, (0, 0.2), (0, 1.0), (veil, veil), alphas=(0.3, 0.55), solid=False)
