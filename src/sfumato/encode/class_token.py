"""A class, as the one token that a network attends to."""

from __future__ import annotations

import torch
from torch import Tensor

from sfumato.condition import Text
from sfumato.encode.encoder import Asked, Encoder
from sfumato.recipe.capabilities import Capabilities


class ClassToken(Encoder):
    """The embedding of the recipe's class as a text of one token (Rombach et al. 2022, section 4.3.2).

    classes: their names, in the order of the embeddings (K, w), or (K + 1, w) where `none` is the row that means "no
    class"; that row is the unconditional branch.
    """

    def __init__(self, classes: tuple[str, ...], none: int | None, embeddings: Tensor) -> None:
        self.tells = Capabilities(classes=classes, none=none)
        self.embeddings = embeddings

    def __call__(self, batch: Asked) -> Text:
        told = [self.tells.index(recipe.label) for recipe in batch.recipes]
        none = self.tells.none
        negative = None if none is None else Text(self.embeddings[none].reshape(1, 1, -1))
        return Text(self.embeddings[torch.tensor(told)][:, None], negative=negative)
