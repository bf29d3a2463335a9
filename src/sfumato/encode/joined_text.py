"""A text as several CLIPs and a T5 read it, one behind the other (Esser et al. 2024, appendix B.3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.functional import pad

from sfumato.condition import Text
from sfumato.encode.clip_text import ClipText
from sfumato.encode.t5_text import T5Text
from sfumato.encode.text_encoder import TextEncoder
from sfumato.picture import BadInput
from sfumato.recipe import Recipe
from sfumato.recipe.prompt import Parts


class JoinedText(TextEncoder):
    """The tokens of `clips`, one beside the other and filled up with zeros to `width`, and behind them those of `t5`;
    the pooled embeddings of the clips one beside the other.

    t5: None for a model whose T5 was left out: zeros stand for its `window` tokens, as it learned with T5 dropped.
    """

    def __init__(self, clips: Sequence[ClipText], t5: T5Text | None, width: int, window: int) -> None:
        self.clips, self.t5, self.width, self.window = tuple(clips), t5, width, window

    def embed(self, texts: Sequence[Parts]) -> Text:
        read = [clip.embed(texts) for clip in self.clips]
        words = torch.cat([each.embeds for each in read], -1)
        words = pad(words, (0, self.width - words.shape[-1]))
        whole = [each.pooled for each in read if each.pooled is not None]
        behind = (
            words.new_zeros(len(texts), self.window, self.width) if self.t5 is None else self.t5.embed(texts).embeds
        )
        return Text(torch.cat([words, behind.to(words)], 1), pooled=torch.cat(whole, -1))

    def chunks(self, recipe: Recipe) -> int:
        counts = {clip.chunks(recipe) for clip in self.clips}
        if len(counts) > 1:
            raise BadInput(
                "The tokenizers of this model's CLIPs cut the prompt into unlike numbers of chunks: shorten it."
            )
        return counts.pop()
