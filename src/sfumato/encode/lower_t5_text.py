"""Words in small letters -> the Text part of a Condition, by a T5 encoder."""

from __future__ import annotations

from sfumato.edit import Words
from sfumato.encode.chunks import Token
from sfumato.encode.t5_text import T5Text
from sfumato.encode.token_spans import pieced
from sfumato.recipe.prompt import Parts, parse

BEGIN = "▁"  # what the first token of a word begins with


class LowerT5Text(T5Text):
    """PixArt's: words are read in small letters, as they were in training, and it is known where they stand."""

    def tokens(self, text: Parts) -> list[Token]:
        return super().tokens(tuple(tuple((words.lower(), weight) for words, weight in part) for part in text))

    def spans(self, prompt: str) -> Words:
        end, spelled = self.tokenizer.eos_token_id, self.tokenizer.convert_ids_to_tokens
        pieces = [("" if token == end else spelled(token), weight) for token, weight in self.tokens(parse(prompt))]
        return pieced(pieces, lambda piece: (piece.startswith(BEGIN), piece.removeprefix(BEGIN)), self.window)
