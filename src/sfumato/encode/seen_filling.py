"""Words in small letters -> the Text part of a Condition of DeepFloyd IF."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sfumato.condition import Text
from sfumato.encode.lower_t5_text import LowerT5Text
from sfumato.recipe.prompt import Parts


class SeenFilling(LowerT5Text):
    """A T5's text whose filling is hidden from the encoder and not from the network, as IF was trained: its U-Nets see
    all 77 tokens."""

    def embed(self, texts: Sequence[Parts]) -> Text:
        return replace(super().embed(texts), mask=None)
