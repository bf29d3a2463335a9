"""One diffusion of a model: where it happens, what denoises, and what it can be told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from sfumato.condition import Condition, Part
from sfumato.denoise import Denoiser
from sfumato.edit import Words
from sfumato.noise import NoiseSource
from sfumato.recipe import Recipe
from sfumato.recipe.vocabulary import WORDS, Vocabulary
from sfumato.space import Space


class Encode(Protocol):
    """What recipes of one batch say, as the network's condition; `given` are the pictures that they name."""

    def __call__(self, recipes: Sequence[Recipe], given: Any = ...) -> Condition: ...


@dataclass(frozen=True)
class Stage:
    """One diffusion: a space, a denoiser, and how a recipe becomes its condition.

    `vocabulary` says what a recipe may tell it. `link` turns this stage's result into parts of the next stage's
    condition; the last stage has none. `chunks` counts those that a recipe's words take: only what takes as many shares
    a batch, for to others the padding would be something to attend to. `inpaints`: the network is shown the mask and
    what is held outside it, so that nothing need be put back after its moves. `words` says where in the encoded text a
    prompt's words stand; None for models that read none.
    """

    name: str
    space: Space
    denoiser: Denoiser
    encode: Encode
    vocabulary: Vocabulary = WORDS
    link: Callable[[Tensor, NoiseSource], tuple[Part, ...]] | None = None
    chunks: Callable[[Recipe], int] = lambda recipe: 1
    inpaints: bool = False
    words: Callable[[str], Words] | None = None
