"""Encoders of words that answer from memory, so that text encoders which are not taught take no memory in training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from sfumato.condition import Part
from sfumato.encode import Asked, Encoder, Told
from sfumato.recipe import Recipe
from sfumato.schedule import Schedule


class Remembered(Encoder):
    """What an encoder said of some recipes, to be asked of the same words at the same size again.

    The encoder itself is not kept: where nothing else holds its networks, they are gone.
    """

    def __init__(self, encoder: Encoder, recipes: Sequence[Recipe], size: tuple[int, int], schedule: Schedule) -> None:
        self.tells = encoder.tells
        self.known: dict[Any, Part | None] = {}
        self.counts: dict[Any, int] = {}
        for recipe in recipes:
            if (key := _key(recipe)) not in self.known:
                with torch.no_grad():
                    self.known[key] = encoder(Told([recipe], size, schedule))
                self.counts[key] = encoder.chunks(recipe)

    def __call__(self, batch: Asked) -> Part | None:
        parts = [part for recipe in batch.recipes if (part := self.known[_key(recipe)]) is not None]
        return type(parts[0]).cat(parts) if parts else None

    def chunks(self, recipe: Recipe) -> int:
        return self.counts[_key(recipe)]


def _key(recipe: Recipe) -> Any:
    return recipe.prompt, recipe.negative, recipe.steps, recipe.clip_skip, recipe.emphasis
