"""What is done to a network's attention: the element of a recipe that `sfumato.model.attention` makes live."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from sfumato.recipe.checks import Listed, Real, Whole, element

_FRACTION = "a fraction of the time from 0 (never) to 1 (always)"


@element
class PromptToPrompt:
    """Prompt-to-Prompt (Hertz et al. 2022): the recipe's prompt edits the picture that `source` makes.

    That picture is made in the same run, from the same start and noise, and its attention maps are injected: where a
    word of `source` stays or is swapped for another, the new picture attends as the source did, while t > 1 -
    `cross_maps`; where what is alike is looked for (self-attention, in layers of at most `within` x `within` places),
    while t > 1 - `self_maps`. Words that are added keep maps of their own. Larger fractions keep more of the source.
    The weights of the recipe's prompt, as in "a (red:1.6) hat", scale its words' maps and not their embeddings.

    `blend` names words of either prompt: outside the places where their maps exceed `threshold` of their maximum, the
    picture is the source's own: of an inverted one its very bytes, unless `composite` is "none". With both fractions 0
    and no `blend` nothing is edited: the prompt is painted as it is.
    """

    source: str = Field(max_length=20_000, description="the prompt of the picture to edit")
    cross_maps: Real = Field(default=0.8, ge=0, le=1, description=_FRACTION)
    self_maps: Real = Field(default=0.4, ge=0, le=1, description=_FRACTION)
    blend: Listed[str] = Field(default=(), max_length=64, description="a list of words, as ['hat']")
    threshold: Real = Field(default=0.3, gt=0, lt=1, description="a number between 0 and 1")
    within: Whole = Field(default=16, ge=1, le=4096, description="a whole number from 1 to 4096")
    kind: Literal["prompt-to-prompt"] = "prompt-to-prompt"

    @property
    def neutral(self) -> bool:
        """Whether it changes nothing."""
        return not (self.cross_maps or self.self_maps or self.blend)

    @property
    def wordless(self) -> PromptToPrompt:
        """The same for any words: what the pictures of one batch have in common."""
        return replace(self, source="", blend=("",) * len(self.blend))
