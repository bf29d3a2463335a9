"""Points in the plane, endless and labelled: the worlds on which diffusion can be seen whole.

Point `index` of the world (kind, seed) is a function of these three alone, drawn from a counter-based generator.
Every kind has mean near 0 and variance 1 (the mean over both axes), so that one network and one schedule fit all.

| kind | points | label | source |
|---|---|---|---|
| swiss-roll | a spiral of a turn and a half | its quarter, from inside | Sohl-Dickstein et al. 2015, figure 1 |
| two-moons | two half circles, interleaved | the moon | scikit-learn's `make_moons` |
| pinwheel | five arms, bent | the arm | Johnson et al. 2016, figure 1 |
| checkerboard | the eight dark squares of a board of sixteen | the square | Grathwohl et al. 2019, figure 2 |
| ring | eight Gaussians on a circle | the Gaussian | the mode-collapse test of the GAN papers |
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from scipy.special import ndtri

from sfumato.picture import BadInput

RING_RADIUS, RING_SPREAD = 1.4, 0.14


@dataclass(frozen=True)
class Kind:
    """`place` makes points (n, 2) and labels (n,) of four uniform numbers (n, 4) each; `scale` gives unit variance."""

    classes: int
    scale: float
    place: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def draw(kind: str, seed: int, count: int, first: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points first .. first + count - 1 of the world: float32 (count, 2), and their labels, int64 (count,).

    Raises BadInput for an unknown kind.
    """
    if kind not in KINDS:
        raise BadInput(f"There are no points of the kind {kind!r}: choose one of {', '.join(KINDS)}.")
    key = int.from_bytes(blake2b(repr(("points", kind, seed)).encode(), digest_size=16).digest(), "little")
    uniform = np.random.Generator(np.random.Philox(key=key, counter=first)).random((count, 4))  # four a counter
    points, labels = KINDS[kind].place(uniform)
    return (points / KINDS[kind].scale).astype(np.float32), labels


def ring_centres() -> np.ndarray:
    """The centres (8, 2) of `ring`, by label; each is a Gaussian of standard deviation RING_SPREAD."""
    angle = 2 * math.pi * np.arange(8) / 8
    return RING_RADIUS * _around(angle)


def _swiss_roll(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    angle, centre = 1.5 * math.pi * (1 + 2 * u[:, 0]), np.array([2.0, 2 / (3 * math.pi)])
    return angle[:, None] * _around(angle) - centre + 0.4 * _normal(u[:, 1:3]), _part(u[:, 0], 4)


def _two_moons(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    label = _part(u[:, 0], 2)
    arc, centre = _around(math.pi * u[:, 1]), np.array([0.5, 0.25])
    points = np.where(label[:, None] == 0, arc, np.array([1.0, 0.5]) - arc)
    return points - centre + 0.06 * _normal(u[:, 2:4]), label


def _pinwheel(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    label = _part(u[:, 0], 5)
    along, across = (np.array([0.3, 0.1]) * _normal(u[:, 1:3]) + np.array([1.0, 0.0])).T
    angle = 2 * math.pi * label / 5 + 0.25 * np.exp(along)
    return along[:, None] * _around(angle) + across[:, None] * _around(angle + math.pi / 2), label


def _checkerboard(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    label = _part(u[:, 0], 8)
    column = label // 2
    row = 2 * (label % 2) + column % 2
    return np.stack([column, row], 1) + u[:, 1:3] - 2, label


def _ring(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    label = _part(u[:, 0], 8)
    return ring_centres()[label] + RING_SPREAD * _normal(u[:, 1:3]), label


def _part(u: np.ndarray, parts: int) -> np.ndarray:
    return np.floor(parts * u).astype(np.int64)


def _around(angle: np.ndarray) -> np.ndarray:
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def _normal(u: np.ndarray) -> np.ndarray:
    """Normal numbers of uniform ones in [0, 1), of which 0 is moved by half of the smallest step."""
    return ndtri(u + 2.0**-54)


KINDS: dict[str, Kind] = {
    "swiss-roll": Kind(4, 6.80, _swiss_roll),
    "two-moons": Kind(2, 0.708, _two_moons),
    "pinwheel": Kind(5, 0.742, _pinwheel),
    "checkerboard": Kind(8, 1.155, _checkerboard),
    "ring": Kind(8, 1.0, _ring),
}
