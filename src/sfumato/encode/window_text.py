"""Words -> the Text part of a Condition, for networks with one place for each token of a window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Self

import torch

from sfumato.condition import Text
from sfumato.edit import Words
from sfumato.emphasis import Emphasis
from sfumato.encode.clip_text import ClipText
from sfumato.encode.text_encoder import TextEncoder
from sfumato.picture import BadInput
from sfumato.recipe import Recipe
from sfumato.recipe.prompt import Parts


class WindowText(TextEncoder):
    """What a CLIP makes of a text of at most one window, with a mask that is True up to its last token.

    Raises BadInput, in one sentence, for a longer text. pooled: the width of the pooled embeddings.
    """

    def __init__(self, words: ClipText, pooled: int) -> None:
        self.words, self.pooled = words, pooled
        self.width, self.window, self.skipped = words.width, words.window, words.skipped

    def embed(self, texts: Sequence[Parts]) -> Text:
        read = [self.words.cut(text) for text in texts]
        for chunks in read:
            if len(chunks) > 1:
                raise BadInput(
                    f"The prompt is {sum(map(len, chunks))} tokens long, or has a BREAK, and this model reads one "
                    f"window of {self.window - 2} tokens: shorten it."
                )
        found = self.words.embed(texts)
        ends = torch.tensor([len(chunks[0]) + 2 for chunks in read])  # with the first and the last token
        mask = torch.arange(self.window)[None] < ends[:, None]
        return replace(found, mask=mask.to(found.embeds.device))

    def skipping(self, layers: int) -> WindowText:
        return WindowText(self.words.skipping(layers), self.pooled)

    def weighing(self, emphasis: Emphasis) -> Self:
        found = super().weighing(emphasis)
        found.words = self.words.weighing(emphasis)
        return found

    def chunks(self, recipe: Recipe) -> int:
        return 1

    def spans(self, prompt: str) -> Words:
        return self.words.spans(prompt)
