"""Words -> the Text part of a Condition, by a T5 encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from sfumato.condition import Text
from sfumato.encode.chunks import Token
from sfumato.encode.text_encoder import TextEncoder
from sfumato.picture import BadInput
from sfumato.recipe.prompt import Parts


class T5Text(TextEncoder):
    """The last hidden state of a T5 encoder (Raffel et al. 2020) of a text that is filled up to its `window`.

    A longer text is refused: nothing of it would be read. Weights do what they do to CLIP's texts; the parts
    between BREAKs are read as one text.

    run: token ids (N, window) -> hidden states (N, window, width), by name; with a mask if masked: the filling is
    hidden, from the encoder and, by the text's own mask, from the network; otherwise both see it, as they were trained.
    """

    def __init__(self, tokenizer: Any, run: Callable[..., Tensor], window: int, masked: bool = False) -> None:
        self.tokenizer, self.run, self.masked = tokenizer, run, masked
        self.window = min(int(tokenizer.model_max_length), window)

    @torch.no_grad()
    def embed(self, texts: Sequence[Parts]) -> Text:
        """The embeddings (B, window, width) in float32, and the mask (B, window) if the filling is hidden."""
        pad = (int(self.tokenizer.pad_token_id), 1.0)
        rows = [self.tokens(text) for text in texts]
        compared = self.emphasis.compared([[weight for _, weight in row] for row in rows])
        rows = [*rows, self.tokens(())] if compared else rows
        filled = [[*row, *[pad] * (self.window - len(row))] for row in rows]
        ids = torch.tensor([[token for token, _ in row] for row in filled])
        weights = torch.tensor([[weight for _, weight in row] for row in filled])
        mask = torch.tensor([[i < len(row) for i in range(self.window)] for row in rows]) if self.masked else None
        out = self.run(ids=ids, **({} if mask is None else {"mask": mask})).float()
        count, mask = len(texts), None if mask is None else mask[: len(texts)].to(out.device)
        empty = out[count:] if compared else None
        return Text(self.emphasis.weighed(out[:count], weights[:count].to(out.device), empty), mask)

    def tokens(self, text: Parts) -> list[Token]:
        """The (token, weight) of a text, its end among them. The whole is cut into tokens at once, so that weights
        change none; a token weighs what its last letter does. Raises BadInput for more than the window holds."""
        parts = [[(letter, weight) for words, weight in part for letter in words] for part in text]
        letters = list(chain.from_iterable([[(" ", 1.0)] * (i > 0) + part for i, part in enumerate(parts)]))
        said = "".join(letter for letter, _ in letters)
        read = self.tokenizer(said, return_offsets_mapping=True, verbose=False)
        if len(read.input_ids) > self.window:
            marks = self.tokenizer.num_special_tokens_to_add()
            raise BadInput(
                f"The prompt is {len(read.input_ids) - marks} tokens long and this model's text encoder reads at most "
                f"{self.window - marks}; shorten it."
            )
        spans = read.offset_mapping
        return [
            (token, letters[end - 1][1] if end > begin else 1.0)
            for token, (begin, end) in zip(read.input_ids, spans, strict=True)
        ]
