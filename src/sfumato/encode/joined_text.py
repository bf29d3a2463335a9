"""A text as several CLIPs and a T5 read it, one behind the other (Esser et al. 2024, appendix B.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from torch.nn.functional import pad

from sfumato.condition import Text
from sfumato.emphasis import Emphasis
from sfumato.encode.clip_texts import ClipTexts
from sfumato.encode.t5_text import T5Text
from sfumato.encode.text_encoder import TextEncoder
from sfumato.recipe import Recipe
from sfumato.recipe.prompt import Parts


class JoinedText(TextEncoder):
    """The tokens of `clips`, filled up with zeros to `width`, and behind them those of `t5`; the clips' pooled vector.

    t5: None for a model whose T5 was left out: zeros stand for its `window` tokens, as it learned with T5 dropped.
    """

    def __init__(self, clips: ClipTexts, t5: T5Text | None, width: int, window: int) -> None:
        self.clips, self.t5, self.width, self.window = clips, t5, width, window

    def embed(self, texts: Sequence[Parts]) -> Text:
        read = self.clips.embed(texts)
        words = pad(read.embeds, (0, self.width - read.embeds.shape[-1]))
        behind = (
            words.new_zeros(len(texts), self.window, self.width) if self.t5 is None else self.t5.embed(texts).embeds
        )
        return Text(torch.cat([words, behind.to(words)], 1), pooled=read.pooled)

    def weighing(self, emphasis: Emphasis) -> Self:
        found = super().weighing(emphasis)
        found.clips = self.clips.weighing(emphasis)
        found.t5 = None if self.t5 is None else self.t5.weighing(emphasis)
        return found

    def chunks(self, recipe: Recipe) -> int:
        return self.clips.chunks(recipe)
