"""A class, by name or index."""

from __future__ import annotations

import torch

from sfumato.condition import Label
from sfumato.encode.encoder import Asked, Encoder
from sfumato.recipe.capabilities import Capabilities


class ClassLabel(Encoder):
    """The index of the recipe's class; that of no class where it names none.

    classes: their names, in the network's order. none: the index that means "no class", None if there is none.
    """

    def __init__(self, classes: tuple[str, ...], none: int | None) -> None:
        self.tells = Capabilities(classes=classes, none=none)

    def __call__(self, batch: Asked) -> Label:
        return Label(torch.tensor([self.tells.index(recipe.label) for recipe in batch.recipes]), self.tells.none)
