"""Words -> the Text part of a Condition, by a CLIP text encoder."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from sfumato.condition import Text
from sfumato.edit import Words
from sfumato.encode.chunks import Token, chunks, grouped
from sfumato.encode.text_encoder import TextEncoder
from sfumato.encode.token_spans import spans
from sfumato.picture import BadInput
from sfumato.recipe import Recipe
from sfumato.recipe.prompt import Parts, parse, plan_of

MOST = 32  # chunks of one prompt


class ClipText(TextEncoder):
    """The last hidden state of a CLIP text encoder (after its final layer norm), padded to the tokenizer's window,
    as Stable Diffusion 1 and 2 feed it to their networks.

    A text that is longer than the window is read in chunks, each between its own first and last token, whose embeddings
    stand one after the other. Of texts of different lengths each is said as often as makes them equally long, which
    attention does not notice: a short negative prompt says the same beside a long prompt.

    run: token ids (N, window) -> hidden states (N, window, width), by name as `ids`: the encoder as an engine runs it;
    or those and pooled embeddings (N, P), of which a text's is that of its first chunk. once: whether each text is said
    once alone. width: of the embeddings. shorter: (layers) -> `run` without so many of the encoder's `layers`.
    """

    once: bool = False

    def __init__(
        self,
        tokenizer: Any,
        run: Callable[..., Any],
        longest: int,
        width: int = 0,
        shorter: Callable[[int], Callable[..., Any]] | None = None,
        layers: int = 0,
    ) -> None:
        self.tokenizer, self.run, self.width, self.shorter, self.layers = tokenizer, run, width, shorter, layers
        self.window = min(int(tokenizer.model_max_length), longest)
        self.comma = tokenizer.get_vocab().get(",</w>")

    def embed(self, texts: Sequence[Parts]) -> Text:
        """The embeddings (B, n window, width) in float32, n what all texts' chunks have in common (`length`)."""
        read = [self.cut(text) for text in texts]
        common = self.length(map(len, read))
        filled = self.once or any(common % len(each) for each in read)
        read = [[*each, *[[]] * (common - len(each))] if filled else each for each in read]
        rows = [chunk for each in read for chunk in each]
        weights = [[1.0, *(weight for _, weight in row), *[1.0] * (self.window - 1 - len(row))] for row in rows]
        compared = self.emphasis.compared(weights)
        asked = [*rows, []] if compared else rows
        out, pooled = said if isinstance(said := self.run(ids=self.ids(asked)), tuple) else (said, None)
        out, count = out.float(), len(rows)
        said_more = torch.tensor(weights, device=out.device)
        chunks = list(self.emphasis.weighed(out[:count], said_more, out[count:] if compared else None))
        firsts = [sum(map(len, read[:index])) for index in range(len(read))]
        said_often = [
            torch.cat(chunks[first : first + len(each)] * (common // len(each)))
            for first, each in zip(firsts, read, strict=True)
        ]
        return Text(torch.stack(said_often), pooled=None if pooled is None else pooled.float()[firsts])

    def length(self, counts: Iterable[int]) -> int:
        """The chunks that texts of so many have side by side: the least number that all of them divide. The most of
        them, and so shorter texts are filled up with chunks of nothing, where words must stand in one place, or that
        would be more than four times as much."""
        counts = list(counts)
        common = math.lcm(*counts)
        return max(counts) if self.once or common > 4 * max(counts) else common

    def placed(self) -> ClipText:
        found = copy.copy(self)
        found.once = True
        return found

    def ids(self, chunks: Sequence[Sequence[Token]]) -> Tensor:
        """What the encoder reads (N, window): each chunk between its first and its last token, and padding."""
        special, room = self.tokenizer, self.window - 2
        first, last, pad = special.bos_token_id, special.eos_token_id, special.pad_token_id
        return torch.tensor([[first, *(token for token, _ in row), last, *[pad] * (room - len(row))] for row in chunks])

    def skipping(self, layers: int) -> ClipText:
        if self.shorter is None or layers >= self.layers:
            raise BadInput(
                f"clip_skip {layers + 1} leaves out {layers} layers of a text encoder that has {self.layers} to read: "
                "give a smaller number."
            )
        found = copy.copy(self)
        found.run, found.skipped = self.shorter(layers), layers
        return found

    def cut(self, text: Parts) -> list[list[Token]]:
        """The (token, weight) of each chunk, without first, last and padding: token i of chunk k is embedded at
        k window + 1 + i. Raises `BadInput` for a text of more than 32 chunks."""
        groups = [[[(token, weight) for token in self._ids(words)] for words, weight in part] for part in text]
        parts, room = [list(chain.from_iterable(part)) for part in groups], self.window - 2
        together = self.emphasis.together
        found = grouped(groups, room, together) if together else chunks(parts, room, self.comma)
        if len(found) > MOST:
            raise BadInput(
                f"The prompt is {sum(map(len, parts))} tokens long, {len(found)} chunks of {room}, and this model "
                f"reads at most {MOST} chunks; shorten it."
            )
        return found

    def chunks(self, recipe: Recipe) -> int:
        plans = [plan_of(recipe.prompt, recipe.steps), plan_of(recipe.negative, recipe.steps, negative=True)]
        if recipe.attention is not None:
            plans.append(plan_of(recipe.attention.source, recipe.steps))
        reader = self.weighing(recipe.emphasis)
        reader = reader if recipe.attention is None else reader.placed()
        return reader.length(len(self.cut(text)) for plan in plans for text in plan.texts)

    def spans(self, prompt: str) -> Words:
        added = self.tokenizer.get_added_vocab().values()
        return spans(self.cut(parse(prompt)), self.tokenizer.convert_ids_to_tokens, self.window, added)

    def _ids(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False, verbose=False).input_ids
