"""Where in an encoded text the words of a prompt stand."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from sfumato.edit import Words
from sfumato.encode.chunks import Token

END = "</w>"  # what the last token of a word ends with


def spans(
    chunks: Sequence[Sequence[Token]], piece_of: Callable[[int], str], window: int, whole: Collection[int] = ()
) -> Words:
    """The words of a text cut into chunks, their weights, and where the tokens of each stand.

    piece_of: how a token is spelled. whole: tokens that are words of their own, as those added to a tokenizer.
    Token i of chunk k stands at k window + 1 + i.
    """
    words: list[tuple[str, tuple[int, ...], float]] = []
    name, places = "", ()
    for k, chunk in enumerate(chunks):
        for i, (token, weight) in enumerate(chunk):
            piece = piece_of(token)
            name, places = name + piece, (*places, k * window + 1 + i)
            if piece.endswith(END) or token in whole:
                words.append((name.removesuffix(END), places, weight))
                name, places = "", ()
    spelled, where, weights = zip(*words, strict=True) if words else ((), (), ())
    return Words(spelled, where, weights, window)


def pieced(pieces: Sequence[tuple[str, float]], spell: Callable[[str], tuple[bool, str]], window: int) -> Words:
    """The words of a text of one window, of its (piece, weight) at each place; "" is no piece of a word.

    spell: a piece -> whether a word begins with it, and its letters. A word weighs what its last piece does.
    """
    words: list[tuple[str, tuple[int, ...], float]] = []
    for place, (piece, weight) in enumerate(pieces):
        begins, letters = spell(piece)
        if piece and (begins or not words):
            words.append((letters, (place,), weight))
        elif piece:
            name, places, _ = words[-1]
            words[-1] = name + letters, (*places, place), weight
    spelled, where, weights = zip(*words, strict=True) if words else ((), (), ())
    return Words(spelled, where, weights, window)
