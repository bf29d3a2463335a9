"""Which tokens of two prompts belong together."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sfumato.edit import Words, align
from sfumato.picture import BadInput

WINDOW = 16


def words(prompt: str, split: dict[str, int] | None = None, window: int = WINDOW) -> Words:
    """A prompt of one token a word, but for those that `split` says have more."""
    names, places, place = prompt.split(), [], 1
    for name in names:
        count = (split or {}).get(name, 1)
        places.append(tuple(range(place, place + count)))
        place += count
    return Words(tuple(names), tuple(places), (1.0,) * len(names), window)


def taken(source: str, target: str, **split: int) -> dict[str, str]:
    """Which source words each target word's map comes from; "" for its own."""
    a, b = words(source, split), words(target, split)
    mapping = align(a, b, WINDOW)
    return {
        name: " ".join(n for n, here in zip(a.words, a.places, strict=True) if mapping[list(here)][:, there[0]].any())
        for name, there in zip(b.words, b.places, strict=True)
    }


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("a red hat", "a blue hat", {"a": "a", "blue": "red", "hat": "hat"}),
        ("a red hat", "an orange hat", {"an": "a", "orange": "red", "hat": "hat"}),
        ("a boat", "a boat at sunset", {"a": "a", "boat": "boat", "at": "", "sunset": ""}),
        ("a boat at sunset", "a boat", {"a": "a", "boat": "boat"}),
        ("a big red cat", "a dog", {"a": "a", "dog": "big red cat"}),
        ("a cat", "a dog in hats", {"a": "a", "dog": "cat", "in": "", "hats": ""}),
        ("cat", "dog", {"dog": "cat"}),
        ("", "a boat", {"a": "", "boat": ""}),
    ],
)
def test_words_stay_replace_one_another_or_are_new(source, target, expected):
    assert taken(source, target) == expected


def test_tokens_of_a_word_split_otherwise_share_its_attention():
    mapping = align(words("a cat sat"), words("a leopard sat", {"leopard": 2}), WINDOW)
    assert mapping[2, 2] == mapping[2, 3] == 0.5
    assert mapping[3, 4] == 1
    back = align(words("a leopard sat", {"leopard": 2}), words("a cat sat"), WINDOW)
    assert back[2, 2] == back[3, 2] == 1


PROMPTS = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6).map(" ".join)
SPLITS = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 2))


@given(PROMPTS, PROMPTS, SPLITS)
def test_attention_is_carried_and_never_doubled(source, target, split):
    """Every source place gives at most 1, and exactly 1 unless its word is gone."""
    a, b = words(source, split), words(target, split)
    try:
        mapping = align(a, b, WINDOW)
    except BadInput:
        assert not set(a.words) & set(b.words)
        return
    given = mapping.sum(1)
    assert bool(((given == 1) | (given == 0)).all())
    assert bool((given[list(a.others(0))] == 1).all())
    assert torch.equal(align(a, a, WINDOW), torch.eye(WINDOW))


def test_chunks_keep_their_own_first_and_last_tokens():
    a = Words(("x", "y"), ((1,), (5,)), (1.0, 1.0), 4)
    assert torch.equal(align(a, a, 8), torch.eye(8))
    longer = Words(("x", "new", "y"), ((1,), (2,), (5,)), (1.0,) * 3, 4)
    mapping = align(a, longer, 8)
    assert mapping[:, 2].sum() == 0
    assert mapping[4:, 4:].equal(torch.eye(4))
    assert mapping[[2, 3], 3].tolist() == [1, 1]


def test_prompts_without_a_common_word_are_refused():
    with pytest.raises(BadInput, match="'a boat' and 'three red hats' have no word in common and differ in length"):
        align(words("a boat"), words("three red hats"), WINDOW)


def test_phrases_are_found_wherever_they_occur():
    prompt = words("a hat on a red hat", {"hat": 2})
    assert prompt.find(("hat",)) == (2, 3, 7, 8)
    assert prompt.find(("red", "hat")) == (6, 7, 8)
    assert prompt.find(("boat",)) == ()
