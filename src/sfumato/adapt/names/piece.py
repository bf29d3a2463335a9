"""A layer of the network, or some of its outputs, that a file's tensor is a part of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Piece:
    """`layer`, by its path in the network; of its outputs those from `begin` to `end`, in shares of all of them."""

    layer: str
    begin: float = 0.0
    end: float = 1.0

    def rows(self, outputs: int) -> slice:
        return slice(round(self.begin * outputs), round(self.end * outputs))


def flat(name: str) -> str:
    """A layer's name as it stands in kohya's files."""
    return name.replace(".", "_")
