"""A text of two encoders: one says what its tokens mean, another what it means as a whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Self

from torch import Tensor

from sfumato.condition import Text
from sfumato.emphasis import Emphasis
from sfumato.encode.clip_text import ClipText
from sfumato.encode.text_encoder import TextEncoder
from sfumato.recipe import Recipe
from sfumato.recipe.prompt import Parts


class PooledText(TextEncoder):
    """The embeddings of `words`, with the pooled vectors of `whole` beside them: (texts) -> (B, P)."""

    def __init__(self, words: TextEncoder, whole: Callable[[Sequence[Parts]], Tensor]) -> None:
        self.words, self.whole = words, whole

    def embed(self, texts: Sequence[Parts]) -> Text:
        return replace(self.words.embed(texts), pooled=self.whole(texts))

    def weighing(self, emphasis: Emphasis) -> Self:
        found = super().weighing(emphasis)
        found.words = self.words.weighing(emphasis)
        return found

    def chunks(self, recipe: Recipe) -> int:
        return self.words.chunks(recipe)


class ClipPooled:
    """What a CLIP text encoder says of a text as a whole, in float32: where it ends, or where the window does, for one
    that is longer. Weights say nothing here.

    run: token ids (N, window) -> (N, P), by name as `ids`.
    """

    def __init__(self, tokenizer: Any, run: Callable[..., Tensor], longest: int) -> None:
        self.text = ClipText(tokenizer, run, longest)
        self.text.comma = None  # a full window goes back to none

    def __call__(self, texts: Sequence[Parts]) -> Tensor:
        return self.text.run(ids=self.text.ids([self.text.cut(text)[0] for text in texts])).float()
