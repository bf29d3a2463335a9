"""Words in small letters -> the Text part of a Condition, by a T5 encoder."""

from __future__ import annotations

from collections.abc import Iterator

from sfumato.edit import Words
from sfumato.encode.chunks import Token
from sfumato.encode.t5_text import T5Text
from sfumato.recipe.prompt import Parts, parse

BEGIN = "▁"  # what the first token of a word begins with


class LowerT5Text(T5Text):
    """PixArt's: words are read in small letters, as they were in training, and it is known where they stand."""

    def tokens(self, text: Parts) -> list[Token]:
        return super().tokens(tuple(tuple((words.lower(), weight) for words, weight in part) for part in text))

    def spans(self, prompt: str) -> Words:
        found = list(self._words(self.tokens(parse(prompt))))
        spelled, places, weights = zip(*found, strict=True) if found else ((), (), ())
        return Words(spelled, places, weights, self.window)

    def _words(self, tokens: list[Token]) -> Iterator[tuple[str, tuple[int, ...], float]]:
        name, places, heavy = "", (), 1.0
        for place, (token, weight) in enumerate(tokens):
            piece = self.tokenizer.convert_ids_to_tokens(token)
            ends = token == self.tokenizer.eos_token_id
            if name and (ends or piece.startswith(BEGIN)):
                yield name, places, heavy
                name, places = "", ()
            if not ends:
                name, places, heavy = name + piece.removeprefix(BEGIN), (*places, place), weight
