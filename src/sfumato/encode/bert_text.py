"""Words -> the Text part of a Condition, by a tokenizer of BERT's words and an encoder of all its window."""

from __future__ import annotations

from sfumato.edit import Words
from sfumato.encode.t5_text import T5Text
from sfumato.encode.token_spans import pieced
from sfumato.recipe.prompt import parse

WITHIN = "##"  # what the tokens of a word begin with, but for its first


class BertText(T5Text):
    """Latent diffusion's: as `T5Text`, of word pieces (Devlin et al. 2019), and it is known where words stand.

    run: token ids (N, window) -> hidden states (N, window, width), by name.
    """

    def spans(self, prompt: str) -> Words:
        marks, spelled = self.tokenizer.all_special_ids, self.tokenizer.convert_ids_to_tokens
        unknown = self.tokenizer.unk_token_id
        pieces = [
            ("" if token in marks and token != unknown else spelled(token), weight)
            for token, weight in self.tokens(parse(prompt))
        ]
        return pieced(pieces, lambda piece: (not piece.startswith(WITHIN), piece.removeprefix(WITHIN)), self.window)
