"""What every way to apply weights of words is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from sfumato.element import Element
from sfumato.lazy import Tensor


class Emphasis(Element, kinds="emphasis", package="sfumato.emphasis"):
    """What weights of words do to the embeddings of a text, as a recipe says it.

    The words are those in brackets (`sfumato.recipe.prompt`). A text without weights is the same in all of them, but
    for where one that is longer than the window is cut.
    """

    compares: ClassVar[bool] = False
    """Whether `weighed` is told the embeddings of an empty text, where some word weighs more or less."""

    together: ClassVar[int] = 0
    """Words in brackets of fewer tokens than these stand in one chunk, and a chunk that is full ends where it does; 0:
    it goes back to a comma, and brackets say nothing of where a text is cut."""

    said: ClassVar[str] = ""
    """What A1111's page calls it in a picture's text; "" where that is the default, or it has no such."""

    def compared(self, weights: Sequence[Sequence[float]]) -> bool:
        """Whether it has to be told what an empty text is, of texts whose tokens have these weights."""
        return self.compares and any(weight != 1 for row in weights for weight in row)

    def weighed(self, embeds: Tensor, weights: Tensor, empty: Tensor | None) -> Tensor:
        """The embeddings (N, L, D) as tokens of the weights (N, L) have them. empty: those of a text of no words
        (1, L, D), None where none are `compared`. Weights of 1 change no bit."""
        raise NotImplementedError

    def infotext(self) -> dict[str, str]:
        """What A1111's page says of it."""
        return {"Emphasis": self.said} if self.said else {}
