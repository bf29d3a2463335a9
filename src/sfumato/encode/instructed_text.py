"""Words behind an instruction -> the Text part of a Condition, by a small chat model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from sfumato.condition import Text
from sfumato.encode.chat_text import ragged, said
from sfumato.encode.text_encoder import TextEncoder
from sfumato.picture.errors import BadInput, printable
from sfumato.recipe import Recipe
from sfumato.recipe.prompt import Parts, plan_of


class InstructedText(TextEncoder):
    """The last hidden states of a chat model that is asked to enhance a prompt (Xie et al. 2024, "Sana", section 3.1).

    The network sees the first token, the last one of the instruction and those of the prompt; of the unconditional
    branch, which is asked nothing, all of them. Words are read in small letters, as they were in training.

    run: token ids (1, n) -> hidden states (1, n, width), by name as `ids`. longest: tokens that the network sees.
    """

    def __init__(self, tokenizer: Any, run: Callable[..., Tensor], instruction: str, longest: int = 300) -> None:
        self.tokenizer, self.run, self.instruction, self.longest = tokenizer, run, instruction, longest
        self.before = len(self.tokenizer(instruction).input_ids)
        if not self.tokenizer("").input_ids:
            raise BadInput("The tokenizer begins no text with a token of its own: set add_bos_token in its config.")

    def text(self, prompts: Sequence[Parts], negatives: Sequence[Parts]) -> Text:
        return replace(self.embed(prompts), negative=self._embedded(negatives, ""))

    def embed(self, texts: Sequence[Parts]) -> Text:
        """The embeddings (B, n, width) in float32, n the tokens of the longest text, and their mask where it is one."""
        return self._embedded(texts, self.instruction)

    def chunks(self, recipe: Recipe) -> int:
        """The most tokens that one of its texts has, for beside a longer one it would be masked."""
        asked = plan_of(recipe.prompt, recipe.steps).texts
        others = plan_of(recipe.negative, recipe.steps, negative=True).texts
        shown = [self._shown(text, self.instruction)[1] for text in asked] + [
            self._shown(text, "")[1] for text in others
        ]
        return max(map(len, shown))

    @torch.no_grad()
    def _embedded(self, texts: Sequence[Parts], instruction: str) -> Text:
        rows: dict[Parts, Tensor] = {}
        for text in dict.fromkeys(texts):
            ids, shown = self._shown(text, instruction)
            rows[text] = self.run(ids=torch.tensor([ids])).float()[:, shown]
        return ragged([rows[text] for text in texts])

    def _shown(self, text: Parts, instruction: str) -> tuple[list[int], list[int]]:
        """The ids of what the chat model reads, and the places among them that the network sees."""
        words = said(text).lower().strip()
        ids = self.tokenizer(instruction + words, verbose=False).input_ids
        shown = [0, *range(self.before - 1, len(ids))] if instruction else list(range(len(ids)))
        if len(shown) > self.longest:
            raise BadInput(
                f"The prompt {printable(repr(words), 60)} is {len(shown)} tokens long and this model reads at most "
                f"{self.longest}: shorten it."
            )
        return ids, shown
