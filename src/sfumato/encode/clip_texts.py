"""Words -> the Text part of a Condition, by several CLIP text encoders side by side."""

from __future__ import annotations

import copy
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


class ClipTexts(TextEncoder):
    """What each encoder makes of a text, one beside the other along the width, and so the pooled embeddings of those
    that have one (Podell et al. 2023, "SDXL", section 2.1). All of them must cut a text into as many chunks.

    zeros: no negative prompt is zeros, embeddings and pooled one, and not an encoded empty text.
    """

    def __init__(self, encoders: Sequence[ClipText], zeros: bool = False) -> None:
        self.encoders, self.zeros = tuple(encoders), zeros
        self.width = sum(encoder.width for encoder in self.encoders)

    def embed(self, texts: Sequence[Parts]) -> Text:
        read = [encoder.embed(texts) for encoder in self.encoders]
        pooled = [each.pooled for each in read if each.pooled is not None]
        return Text(torch.cat([each.embeds for each in read], -1), pooled=torch.cat(pooled, -1))

    def text(self, prompts: Sequence[Parts], negatives: Sequence[Parts]) -> Text:
        text = super().text(prompts, negatives)
        null = text.negative
        if not self.zeros or null is None or null.pooled is None:
            return text
        said = torch.tensor([any(part for part in each) for each in negatives], device=null.embeds.device)
        embeds, pooled = null.embeds * said[:, None, None], null.pooled * said[:, None]
        return replace(text, negative=replace(null, embeds=embeds, pooled=pooled))

    def placed(self) -> ClipTexts:
        found = copy.copy(self)
        found.encoders = tuple(encoder.placed() for encoder in self.encoders)
        return found

    def weighing(self, emphasis: Emphasis) -> Self:
        found = super().weighing(emphasis)
        found.encoders = tuple(encoder.weighing(emphasis) for encoder in self.encoders)
        return found

    def skipping(self, layers: int) -> ClipTexts:
        found = copy.copy(self)
        found.encoders, found.skipped = tuple(encoder.skipping(layers) for encoder in self.encoders), layers
        return found

    def chunks(self, recipe: Recipe) -> int:
        counts = {encoder.chunks(recipe) for encoder in self.encoders}
        if len(counts) > 1:
            raise BadInput(
                "The tokenizers of this model's CLIPs cut the prompt into unlike numbers of chunks: shorten it."
            )
        return counts.pop()

    def spans(self, prompt: str) -> Words:
        return self.encoders[0].spans(prompt)
