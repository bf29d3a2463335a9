"""The words of a prompt as a text encoder reads them."""

from __future__ import annotations

from itertools import chain

from sfumato.edit import Words
from sfumato.encode.clip_text import ClipText

END = "</w>"  # what the last token of a word ends with


def words_of(text: ClipText, prompt: str) -> Words:
    """The prompt's words and weights, and where in the encoded text the tokens of each stand."""
    words: list[tuple[str, tuple[int, ...], float]] = []
    name, places = "", ()
    chunks = text.chunks(prompt)
    tokens = chain.from_iterable(
        ((k * text.window + 1 + i, token, weight) for i, (token, weight) in enumerate(chunk))
        for k, chunk in enumerate(chunks)
    )
    for place, token, weight in tokens:
        piece = text.tokenizer.convert_ids_to_tokens(token)
        name, places = name + piece, (*places, place)
        if piece.endswith(END):
            words.append((name.removesuffix(END), places, weight))
            name, places = "", ()
    spelled, where, weights = zip(*words, strict=True) if words else ((), (), ())
    return Words(spelled, where, weights, text.window)
