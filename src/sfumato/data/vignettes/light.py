"""Times of day and weathers: what they do to the sky and to the colours of near and far things."""

from __future__ import annotations

from dataclasses import dataclass

from .vocabulary import Colour


def mix(a: Colour, b: Colour, amount: float) -> Colour:
    """Linear blend: `a` at amount 0, `b` at 1."""
    return tuple(x + (y - x) * amount for x, y in zip(a, b, strict=True))  # type: ignore[return-value]


def scaled(colour: Colour, factor: float) -> Colour:
    """Darker below 1; above 1 lighter, towards white rather than clipped."""
    if factor <= 1:
        return mix((0, 0, 0), colour, factor)
    return mix(colour, (255, 255, 255), min(1.0, factor - 1))


def multiplied(colour: Colour, tint: Colour) -> Colour:
    return tuple(x * y for x, y in zip(colour, tint, strict=True))  # type: ignore[return-value]


@dataclass(frozen=True)
class Light:
    """Sky colours from zenith to horizon; multipliers for land and for near things; haze that far things melt into."""

    zenith: Colour
    middle: Colour
    horizon: Colour
    land: Colour
    near: Colour
    haze: Colour
    haze_strength: float
    glow: Colour
    windows_lit: bool = False
    snowy: bool = False


_LIGHTS = {
    "day": Light((74, 150, 220), (138, 196, 238), (224, 240, 244), (1, 1, 1), (1, 1, 1), (196, 222, 240), 0.55,
                 (255, 246, 214)),
    "sunset": Light((104, 84, 150), (238, 124, 98), (255, 206, 120), (0.86, 0.64, 0.60), (1.0, 0.95, 0.91),
                    (250, 158, 112), 0.55, (255, 226, 150), windows_lit=True),
    "night": Light((14, 20, 54), (28, 44, 98), (62, 88, 150), (0.36, 0.44, 0.68), (0.93, 0.93, 0.99), (56, 76, 136),
                   0.5, (232, 236, 250), windows_lit=True),
    "rain": Light((104, 118, 138), (146, 158, 172), (184, 192, 198), (0.66, 0.74, 0.78), (0.93, 0.95, 0.98),
                  (158, 170, 182), 0.6, (224, 228, 232)),
    "snow": Light((168, 186, 212), (204, 216, 232), (230, 236, 244), (0.94, 0.97, 1.0), (0.98, 0.99, 1.0),
                  (216, 226, 238), 0.6, (255, 252, 246), snowy=True),
    "fog": Light((196, 200, 198), (212, 214, 208), (228, 226, 216), (0.90, 0.91, 0.88), (0.97, 0.97, 0.96),
                 (216, 217, 210), 0.9, (250, 246, 230)),
}  # fmt: skip


def light_named(name: str) -> Light:
    return _LIGHTS[name]
