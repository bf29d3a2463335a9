"""Words -> the Text part of a Condition, by a CLIP text encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sfumato.condition import Text
from sfumato.engine import Engine, engine
from sfumato.picture import BadInput


class ClipText:
    """The last hidden state of a CLIP text encoder (after its final layer norm), padded to the tokenizer's window,
    as Stable Diffusion 1 and 2 feed it to their networks.

    A prompt longer than the window is refused, never cut silently.
    """

    def __init__(self, encoder: Any, tokenizer: Any, execute: Engine | None = None):
        self.encoder, self.tokenizer = encoder, tokenizer
        self.execute = execute or engine("eager")
        self.window = min(int(tokenizer.model_max_length), int(encoder.config.max_position_embeddings))

    def tokens(self, prompts: Sequence[str]) -> Tensor:
        """Token ids (B, window); `BadInput` when a prompt does not fit."""
        for prompt in prompts:
            count = len(self.tokenizer(prompt, verbose=False).input_ids)
            if count > self.window:
                raise BadInput(
                    f"The prompt is {count - 2} tokens long and this model's text encoder reads at most "
                    f"{self.window - 2}; shorten it."
                )
        ids = self.tokenizer(list(prompts), padding="max_length", max_length=self.window, return_tensors="pt")
        return ids.input_ids

    @torch.no_grad()
    def embed(self, prompts: Sequence[str]) -> Tensor:
        """The embeddings (B, window, width) in float32."""
        ids = self.tokens(prompts).to(self.encoder.device)
        with self.execute():
            return self.encoder(ids).last_hidden_state.float()

    def __call__(self, prompts: Sequence[str], negatives: Sequence[str]) -> Text:
        """A Text part whose unconditional branch is the negative prompt ("" when there is none).

        Each distinct text is encoded once.
        """
        distinct = list(dict.fromkeys([*prompts, *negatives]))
        embedded = dict(zip(distinct, self.embed(distinct), strict=True))
        negative = Text(torch.stack([embedded[text] for text in negatives]))
        return Text(torch.stack([embedded[text] for text in prompts]), negative=negative)
