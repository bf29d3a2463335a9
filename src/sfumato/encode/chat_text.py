"""Words, and pictures beside them, -> the Text part of a Condition, by a chat model."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import pad

from sfumato.condition import Text
from sfumato.encode.encoder import Asked
from sfumato.encode.text_encoder import TextEncoder
from sfumato.encode.vision_patches import VisionPatches
from sfumato.picture.errors import BadInput, printable
from sfumato.recipe import Recipe
from sfumato.recipe.prompt import Parts, plan_of

PICTURE = "<|vision_start|><|image_pad|><|vision_end|>"
PAD = "<|image_pad|>"


class ChatText(TextEncoder):
    """The hidden states of a chat model that reads a prompt as what a user says (Qwen-Image, Z-Image, FLUX.2).

    Each text is read by itself, so that no other changes it. Shorter ones are filled up with zeros, and masked.

    run: token ids (1, n) -> hidden states (1, n, width), by name as `ids`: see `sfumato.network.chat_model`.
    template: what the model is given, with "{}" where the prompt stands, or (prompt, pictures) -> the same as a whole.
    drop: tokens at the beginning of the template whose states are not handed on. longest: tokens of the prompt, with
    what of the template follows it. filled: texts are filled up to `longest` with the tokenizer's padding, on its side,
    which is masked for the chat model and which the network reads as it does words; they have no mask then.
    patches: how the model sees the recipe's reference pictures, each `sized` first; None for one that reads words
    alone.

    A text longer than the window is refused, as are weights of words and BREAK: a chat model reads one text as a whole.
    """

    def __init__(
        self,
        tokenizer: Any,
        run: Callable[..., Tensor],
        template: str | Callable[[str, int], str] = "{}",
        *,
        drop: int = 0,
        longest: int = 512,
        filled: bool = False,
        patches: VisionPatches | None = None,
        sized: Callable[[Image.Image], Image.Image] = lambda image: image,
    ) -> None:
        self.tokenizer, self.run, self.template = tokenizer, run, template
        self.drop, self.longest, self.filled = drop, longest, filled
        self.patches, self.sized = patches, sized
        self.pictures: Sequence[Image.Image] = ()

    def __call__(self, batch: Asked) -> Text:
        reads = self if self.patches is None else self.seeing(batch.references)
        return TextEncoder.__call__(reads, batch)

    def seeing(self, pictures: Sequence[Image.Image]) -> ChatText:
        """The encoder, which is shown these pictures with every text."""
        other = copy.copy(self)
        other.pictures = [self.sized(picture) for picture in pictures]
        return other

    @torch.no_grad()
    def embed(self, texts: Sequence[Parts]) -> Text:
        """The embeddings (B, n, width) in float32, n the tokens of the longest text, and their mask where it is one."""
        return ragged([self._states(said(text)) for text in texts])

    def chunks(self, recipe: Recipe) -> int:
        """The most tokens that one of its texts has, for beside a longer one it would be masked."""
        plans = [plan_of(recipe.prompt, recipe.steps), plan_of(recipe.negative, recipe.steps, negative=True)]
        return max(len(self._ids(said(text))) for plan in plans for text in plan.texts)

    def _states(self, prompt: str) -> Tensor:
        ids = self._ids(prompt)
        given: dict[str, Any] = {}
        if self.patches is not None and self.pictures:
            given["patches"], given["grid"] = self.patches(self.pictures)
            ids = self._with_room(ids, [self.patches.tokens(each) for each in given["grid"].tolist()])
        if self.filled:
            empty = self.drop + self.longest - len(ids)
            filling, hidden, seen = [self.tokenizer.pad_token_id] * empty, [0] * empty, [1] * len(ids)
            before = self.tokenizer.padding_side == "left"
            given["mask"] = torch.tensor([hidden + seen if before else seen + hidden])
            ids = [*filling, *ids] if before else [*ids, *filling]
        return self.run(ids=torch.tensor([ids]), **given).float()[:, self.drop :]

    def _ids(self, prompt: str) -> list[int]:
        ids = self.tokenizer(self._written(prompt), add_special_tokens=False, verbose=False).input_ids
        if (found := len(ids) - self.drop) > self.longest:
            raise BadInput(
                f"The prompt {printable(repr(prompt), 60)} is {found} tokens long and this model reads at most "
                f"{self.longest}: shorten it."
            )
        return ids

    def _written(self, prompt: str) -> str:
        if PAD in prompt:
            raise BadInput(f"The prompt holds {PAD}, where a picture is seen: leave it out.")
        if not isinstance(self.template, str):
            return self.template(prompt, len(self.pictures))
        return self.template.format(prompt)

    def _with_room(self, ids: Sequence[int], tokens: Sequence[int]) -> list[int]:
        """The ids with each picture's mark as often as the picture has tokens."""
        mark, left = self.tokenizer.convert_tokens_to_ids(PAD), list(tokens)
        return [each for token in ids for each in ([token] * (left.pop(0) if token == mark and left else 1))]


def ragged(rows: Sequence[Tensor]) -> Text:
    """Texts (1, n_i, width) as one, filled up with zeros, and masked where they differ in length."""
    lengths = torch.tensor([row.shape[1] for row in rows])
    most = int(lengths.max())
    embeds = torch.cat([pad(row, (0, 0, 0, most - row.shape[1])) for row in rows])
    mask = torch.arange(most) < lengths[:, None]
    return Text(embeds, None if bool(mask.all()) else mask.to(embeds.device))


def said(text: Parts) -> str:
    """What a text says. Raises BadInput where it is of several parts or weighs its words."""
    if len(text) > 1:
        raise BadInput("This model reads a prompt as one text: leave BREAK out.")
    weighed = next((words for part in text for words, weight in part if weight != 1), None)
    if weighed is not None:
        raise BadInput(
            f"This model reads a prompt as a chat, in which words have no weights: leave the brackets around "
            f"{printable(repr(weighed), 60)} out, or write \\( and \\) if they are part of the text."
        )
    return "".join(words for part in text for words, _ in part)
