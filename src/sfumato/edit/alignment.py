"""Which words of one prompt stand for which of another: where the attention maps of an edit come from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from sfumato.lazy import Tensor, torch
from sfumato.picture import BadInput

Places = tuple[int, ...]


@dataclass(frozen=True)
class Words:
    """The words of a prompt in order, and at which places of the encoded text the tokens of each stand.

    Chunk k of the text fills the places k window ... (k + 1) window - 1; those of no word are its first, its last and
    its padding tokens. `weights` says how much each word counts (1 = as it is).
    """

    words: tuple[str, ...]
    places: tuple[Places, ...]
    weights: tuple[float, ...]
    window: int

    def __str__(self) -> str:
        return " ".join(self.words)

    def find(self, phrase: Sequence[str]) -> Places:
        """The places of all tokens of the phrase, wherever it occurs; none if it doesn't."""
        size = len(phrase)
        found = [n for n in range(len(self.words) - size + 1) if self.words[n : n + size] == tuple(phrase)]
        return tuple(place for n in found for places in self.places[n : n + size] for place in places)

    def weight(self, length: int) -> Tensor:
        """The weights of all places, (length,)."""
        weight = torch.ones(length)
        for places, value in zip(self.places, self.weights, strict=True):
            weight[list(places)] = value
        return weight

    def others(self, chunk: int) -> Places:
        """The places of a chunk that belong to no word."""
        taken = {place for places in self.places for place in places}
        return tuple(place for place in range(chunk * self.window, (chunk + 1) * self.window) if place not in taken)


def align(source: Words, target: Words, length: int) -> Tensor:
    """The mapping (length, length) of Prompt-to-Prompt: entry (i, j) is the share of source place i in target place j.

    Words that stay go to themselves; words put in the place of others (the swap of Hertz et al. 2022, section 3.2) to
    these, one for one: of more words the rest joins the last. A word of more or fewer tokens than the one it replaces
    shares their attention evenly, so that none is lost. Columns of words that are new are empty: they keep their own
    maps (refinement). First, last and padding tokens go to each other, chunk by chunk.

    Raises BadInput where no word stays and none can stand for another: the prompts have no word in common and are of
    different lengths.
    """
    mapping = torch.zeros(length, length)
    blocks = SequenceMatcher(None, source.words, target.words, autojunk=False).get_opcodes()
    if source.words and not any(tag == "equal" for tag, *_ in blocks) and len(source.words) != len(target.words):
        raise BadInput(
            f"The prompts {str(source)!r} and {str(target)!r} have no word in common and differ in length, so that no "
            "word of one can stand for one of the other: repeat the words that stay."
        )
    for tag, i, end, j, stop in blocks:
        if tag in ("equal", "replace"):
            for here, there in _one_for_one(source.places[i:end], target.places[j:stop]):
                _carry(mapping, here, there)
    for chunk in range(length // target.window):
        here, there = source.others(chunk), target.others(chunk)
        both = min(len(here), len(there)) - 1
        _carry(mapping, here[:both], there[:both])
        _carry(mapping, here[both:], there[both:])
    return mapping


def _one_for_one(source: Sequence[Places], target: Sequence[Places]) -> Iterator[tuple[Places, Places]]:
    both = min(len(source), len(target))
    for n in range(both):
        rest = source[n:] if n == both - 1 else source[n : n + 1]
        yield sum(rest, ()), target[n]


def _carry(mapping: Tensor, source: Places, target: Places) -> None:
    """Token for token, or, where they differ in number, all the sources' attention shared evenly."""
    if len(source) == len(target):
        mapping[list(source), list(target)] = 1
    else:
        mapping[torch.tensor(source)[:, None], torch.tensor(target)] = 1 / len(target)
