"""The places things stand in: sea, mountains, hills, a town, a room with a window."""

from __future__ import annotations

from math import pi, sin

from sfumato.lazy import skia

from ..dice import Dice
from ..light import Light, mix, multiplied, scaled
from ..painter import Painter
from ..scene import Scene
from ..shapes import Point, arc, below, box, line, oval, polygon
from ..vocabulary import Colour
from . import sky as skies

SNOW: Colour = (240, 244, 250)


def place(painter: Painter, scene: Scene, light: Light) -> None:
    _PLACES[scene["place"]](painter, scene, light)


def ground_colour(light: Light, colour: Colour) -> Colour:
    """Grass and paths lie under snow when it snows."""
    return mix(colour, SNOW, 0.86) if light.snowy else colour


def horizon(scene: Scene) -> float:
    """Height of the sea's horizon; lower behind a figure's shoulders than in a landscape."""
    return scene.dice("horizon").between(0.5, 0.6)


def sea(painter: Painter, scene: Scene, light: Light) -> None:
    dice = scene.dice("sea")
    y = horizon(scene)
    if dice.chance(0.5):
        x, w = dice.choose((0.08, 0.9)), dice.between(0.16, 0.26)
        painter.thing("island", "mountain", 0.92)
        with painter.lit(light.land, light.haze, 0.6):
            island = below([(x - w, y), (x - w * 0.4, y - 0.05), (x, y - 0.08), (x + w * 0.5, y - 0.03), (x + w, y)], y)
            painter.fill(island, (96, 124, 120))
    painter.thing("sea", "water", 0.9, 0.25)
    far, near = (120, 182, 214), (22, 96, 150)
    with painter.lit(light.land):
        far_lit = mix(multiplied(far, light.land), light.horizon, 0.5)
        near_lit = mix(multiplied(near, light.land), light.zenith, 0.22)
    painter.gradient(box(-0.1, y, 1.1, 1.1), (0, y), (0, 1.0), (far_lit, near_lit))
    x, _ = skies.sun_place(scene)
    if scene["light"] in ("day", "sunset", "night"):
        painter.soft(x, y + 0.02, 0.09, 0.34, light.glow, 0.5)
        for k in range(8):
            v = y + 0.02 + 0.05 * k + dice.around(0, 0.01)
            w = (0.02 + 0.012 * k) * dice.between(0.6, 1.3)
            u = x + dice.around(0, 0.03)
            painter.stroke(line((u - w, v), (u + w, v)), light.glow, 0.008, 0.75)
    for k in range(16):
        t = (k + dice.random()) / 16
        v, w = y + 0.03 + (0.98 - y) * t * t, 0.02 + 0.07 * t
        u = dice.random()
        crest = arc((u - w, v), (u, v - 0.012 - 0.02 * t), (u + w, v))
        painter.stroke(crest, mix(far_lit, (255, 255, 255), 0.35), 0.004 + 0.006 * t, 0.5)


def _ridge(dice: Dice, y: float, rise: float, peaks: int) -> list[Point]:
    """Jagged outline of a range: alternating peaks and saddles."""
    points: list[Point] = []
    shift = dice.between(-0.5, 0.5)
    for k in range(-1, peaks + 2):
        x = (k + shift) / peaks
        points.append((x, y - rise * dice.between(0.55, 1.0)))
        points.append((x + 0.5 / peaks + dice.around(0, 0.1 / peaks), y - rise * dice.between(0.05, 0.3)))
    return points


def mountains(painter: Painter, scene: Scene, light: Light) -> None:
    dice = scene.dice("mountains")
    layers = ((0.60, 0.34, 3, (112, 132, 172), 0.9, 0.45), (0.66, 0.20, 4, (84, 108, 130), 0.8, 0.2))
    for y, rise, peaks, colour, depth, haze in layers:
        painter.thing("mountains", "mountain", depth)
        points = _ridge(dice, y, rise, peaks)
        outline = polygon([*points, (1.6, 1.1), (-0.6, 1.1)])
        with painter.lit(light.land, light.haze, haze * (1.4 if scene["light"] == "fog" else 1.0)):
            painter.gradient(outline, (0, y - rise), (0, y + 0.1), (colour, mix(colour, (214, 224, 226), 0.4)))
            with painter.inside(outline):
                for k in range(0, len(points) - 1, 2):
                    (px, py), (sx, _) = points[k], points[k + 1]
                    shadow = polygon([(px, py), (sx, y + 0.2), (px + 0.01, y + 0.2), (px - 0.02, py + rise * 0.4)])
                    painter.fill(shadow, scaled(colour, 0.72), 0.5, solid=False)
                    cap = rise * (0.5 if light.snowy else 0.3)
                    w = cap * 0.75
                    snow = polygon([
                        (px, py - 0.01), (px + w, py + cap), (px + w * 0.4, py + cap * 0.7), (px, py + cap * 1.05),
                        (px - w * 0.4, py + cap * 0.72), (px - w, py + cap),
                    ])  # fmt: skip
                    painter.fill(snow, (248, 250, 255), 0.95 if haze > 0.3 else 0.0, solid=False)
    _meadow(painter, scene, light, dice, 0.70, (112, 164, 92))


def _meadow(painter: Painter, scene: Scene, light: Light, dice: Dice, y: float, colour: Colour) -> None:
    painter.thing("meadow", "ground", 0.6, 0.25)
    a = dice.between(0, 2 * pi)
    points = [(-0.1 + 0.24 * k, y + 0.025 * sin(a + 1.3 * k)) for k in range(6)]
    grass = ground_colour(light, colour)
    with painter.lit(light.land, light.haze, 0.08):
        painter.gradient(below(points), (0, y), (0, 1.0), (scaled(grass, 1.12), scaled(grass, 0.78)))


def hills(painter: Painter, scene: Scene, light: Light) -> None:
    dice = scene.dice("hills")
    layers = ((0.55, 0.06, (126, 176, 132), 0.88, 0.5), (0.64, 0.055, (118, 178, 96), 0.75, 0.25),
              (0.77, 0.04, (96, 158, 76), 0.55, 0.0))  # fmt: skip
    for k, (y, swing, colour, depth, haze) in enumerate(layers):
        painter.thing("hill", "ground", depth, 0.25 if k == 2 else depth)
        a, f = dice.between(0, 2 * pi), dice.between(0.8, 1.2)
        points = [(-0.1 + 0.15 * j, y + swing * sin(a + f * j)) for j in range(9)]
        grass = ground_colour(light, colour)
        with painter.lit(light.land, light.haze, haze * (1.5 if scene["light"] == "fog" else 1.0)):
            painter.gradient(below(points), (0, y - swing), (0, y + 0.3), (scaled(grass, 1.14), scaled(grass, 0.76)))
            if k < 2:
                painter.thing("trees", "plant", depth - 0.01)
                for _ in range(5):
                    j = int(dice.random() * 8)
                    (x, top), r = points[j], 0.016 + 0.014 * k
                    x += dice.around(0, 0.03)
                    leaf = ground_colour(light, (62, 118, 74)) if not light.snowy else (150, 176, 172)
                    painter.fill(box(x - r * 0.15, top - r, x + r * 0.15, top + r * 0.8), (92, 72, 56))
                    crown = oval(x, top - r * 1.3, r, r * 1.35)
                    painter.ball(crown, (x - r * 0.4, top - r * 1.9), r * 2, scaled(leaf, 1.2), scaled(leaf, 0.8))


_WALLS: tuple[Colour, ...] = ((232, 212, 184), (214, 188, 166), (222, 222, 210), (196, 204, 206), (226, 196, 176))
_ROOFS: tuple[Colour, ...] = ((150, 92, 82), (122, 96, 96), (96, 104, 122), (140, 108, 84))


def town(painter: Painter, scene: Scene, light: Light) -> None:
    dice = scene.dice("town")
    for base, width, depth, haze in ((0.66, 0.15, 0.85, 0.45), (0.74, 0.22, 0.7, 0.1)):
        x = -dice.between(0.02, width)
        while x < 1.0:
            w = width * dice.between(0.8, 1.15)
            top = base - w * dice.between(1.0, 1.6)
            painter.thing("houses", "building", depth)
            with painter.lit(light.land, light.haze, haze * (1.5 if scene["light"] == "fog" else 1.0)):
                wall, roof = dice.choose(_WALLS), dice.choose(_ROOFS)
                if light.snowy:
                    roof = mix(roof, SNOW, 0.88)
                painter.gradient(box(x, top, x + w, base + 0.4), (x, top), (x + w, top), (wall, scaled(wall, 0.86)))
                gable = [(x - w * 0.08, top + 0.005), (x + w / 2, top - w * dice.between(0.4, 0.7)),
                         (x + w * 1.08, top + 0.005)]  # fmt: skip
                painter.fill(polygon(gable), roof)
            for row in range(3):
                for column in (0.27, 0.73):
                    u, v, r = x + w * column, top + w * (0.28 + 0.42 * row), w * 0.11
                    on = light.windows_lit and dice.chance(0.75)
                    glass: Colour = (255, 214, 116) if on else multiplied((96, 112, 134), light.land)
                    painter.fill(box(u - r, v - r * 1.3, u + r, v + r * 1.3), glass, solid=False)
            x += w * 1.02
    painter.thing("street", "ground", 0.6, 0.25)
    with painter.lit(light.land):
        street = ground_colour(light, (190, 172, 150))
        painter.gradient(box(-0.1, 0.80, 1.1, 1.1), (0, 0.8), (0, 1), (street, scaled(street, 0.82)))


_PAPER: tuple[Colour, ...] = ((226, 206, 178), (206, 214, 196), (216, 200, 206), (198, 210, 218), (230, 216, 190))


def room(painter: Painter, scene: Scene, light: Light) -> None:
    """A wall whose window looks on the sky: the sky is already there, the wall is drawn around it."""
    dice = scene.dice("room")
    sun, _ = skies.sun_place(scene)
    side = -1 if sun < 0.5 else 1
    left, right = (0.04, 0.36) if side < 0 else (0.64, 0.96)
    top, bottom = 0.07, 0.52
    _view(painter, scene, light, left, right, top, bottom)
    indoor = {"night": (0.62, 0.58, 0.66), "sunset": (1.0, 0.88, 0.78), "rain": (0.86, 0.88, 0.9)}.get(
        scene["light"], (0.98, 0.98, 0.98)
    )
    paper = dice.choose(_PAPER)
    painter.thing("wall", "wall", 0.7)
    with painter.lit(indoor):
        walls = box(-0.1, -0.1, 1.1, 1.1)
        walls.addPath(box(left, top, right, bottom, 0.01))
        walls.setFillType(skia.PathFillType.kEvenOdd)
        painter.gradient(walls, (left, 0), (1 - left, 1), (scaled(paper, 1.05), scaled(paper, 0.84)))
        if dice.chance(0.55):
            _framed(painter, dice, light, 0.79 if side < 0 else 0.21)
        painter.thing("window", "window", 0.69)
        frame: Colour = (246, 240, 228)
        painter.stroke(box(left, top, right, bottom, 0.01), frame, 0.022, solid=True)
        cx, cy = (left + right) / 2, (top + bottom) / 2
        painter.stroke(line((cx, top), (cx, bottom)), frame, 0.012, solid=True)
        painter.stroke(line((left, cy), (right, cy)), frame, 0.012, solid=True)
        painter.fill(box(left - 0.025, bottom, right + 0.025, bottom + 0.03, 0.006), scaled(frame, 0.92))


def _framed(painter: Painter, dice: Dice, light: Light, x: float) -> None:
    """A little landscape in a wooden frame."""
    y, w, h = dice.between(0.2, 0.28), dice.between(0.085, 0.12), dice.between(0.08, 0.12)
    painter.thing("framed picture", "furniture", 0.69)
    whole = box(x - w, y - h, x + w, y + h)
    sky, land = dice.choose((((196, 214, 222), (122, 150, 118)), ((236, 208, 178), (150, 128, 112))))
    painter.gradient(whole, (0, y - h), (0, y + h), (sky, mix(sky, (250, 246, 236), 0.5)))
    with painter.inside(whole):
        points = [
            (x - w * 1.1, y + 0.02),
            (x - w * 0.4, y - h * 0.2),
            (x + w * 0.3, y + h * 0.3),
            (x + w * 1.1, y - h * 0.1),
        ]
        painter.fill(below(points, y + h), land)
    painter.stroke(whole, (128, 92, 66), 0.016, solid=True)


def _view(painter: Painter, scene: Scene, light: Light, l: float, r: float, t: float, b: float) -> None:
    """Hills, rain or snow behind the panes."""
    dice = scene.dice("view")
    with painter.inside(box(l, t, r, b)):
        painter.thing("hill", "ground", 0.9)
        grass = ground_colour(light, (112, 168, 104))
        with painter.lit(light.land, light.haze, 0.75 if scene["light"] == "fog" else 0.25):
            painter.fill(below([(l - 0.1, b - 0.1), ((l + r) / 2, b - dice.between(0.08, 0.16)), (r + 0.1, b - 0.06)]),
                         grass)  # fmt: skip
        if scene["light"] == "rain":
            for _ in range(12):
                x, y = dice.between(l, r), dice.between(t - 0.05, b)
                painter.stroke(line((x, y), (x + 0.015, y + 0.08)), (240, 246, 252), 0.0075, 0.8)
        elif scene["light"] == "snow":
            for _ in range(14):
                painter.fill(oval(dice.between(l, r), dice.between(t, b), 0.012), (255, 255, 255), solid=False)


_PLACES = {"sea": sea, "mountains": mountains, "hills": hills, "town": town, "room": room}
