"""One person's build and posture."""

from __future__ import annotations

from dataclasses import dataclass

from ..vocabulary import Colour


@dataclass(frozen=True)
class Body:
    """One person's build and posture; `lit`: the side of the light (+1 right), `turn`: where the face looks."""

    woman: bool
    name: str
    shoulders: float
    turn: float
    lit: int
    skin: Colour
    hair: Colour
    hair_style: str
    beard: str

    @property
    def shift(self) -> float:
        """How far the features move sideways as the head turns."""
        return 0.10 * self.turn
