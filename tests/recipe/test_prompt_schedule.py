"""Prompts that change over the steps: A1111's documented examples, and what holds for every text."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfumato.picture import BadInput
from sfumato.recipe.prompt import DEEPEST
from sfumato.recipe.prompt.schedule import changes, last, periods

# of 10 steps: (first step, text); A1111 counts the last step of a text instead
DOCUMENTED = {
    "test": [(0, "test")],
    "a [b:3]": [(0, "a "), (3, "a b")],
    "a [b: 3]": [(0, "a "), (3, "a b")],
    "a [[[b]]:2]": [(0, "a "), (2, "a [[b]]")],
    "[(a:2):3]": [(0, ""), (3, "(a:2)")],
    "a [b : c : 1] d": [(0, "a b  d"), (1, "a  c  d")],
    "a[b:[c:d:2]:1]e": [(0, "abe"), (1, "ace"), (2, "ade")],
    "a [unbalanced": [(0, "a [unbalanced")],
    "a [b:.5] c": [(0, "a  c"), (5, "a b c")],
    "((a][:b:c [d:3]": [(0, "((a][:b:c "), (3, "((a][:b:c d")],
    "[a|(b:1.1)]": [(step, "a" if step % 2 == 0 else "(b:1.1)") for step in range(10)],
    "[fe|]male": [(step, "male" if step % 2 else "female") for step in range(10)],
    "[fe|||]male": [(0, "female"), (1, "male"), (4, "female"), (5, "male"), (8, "female"), (9, "male")],
}
PLAIN = st.text(st.characters(blacklist_characters="()[]\\|:", blacklist_categories=["Cs"]), max_size=8)
ANY = st.text("ab ()[]\\|:0.5", max_size=40)


@pytest.mark.parametrize("prompt", DOCUMENTED)
def test_a1111_s_documented_examples(prompt):
    assert periods(prompt, 10) == DOCUMENTED[prompt]


def test_the_documented_landscape():
    prompt = (
        "fantasy landscape with a [mountain:lake:0.25] and [an oak:a christmas tree:0.75]"
        "[ in foreground::0.6][ in background:0.25] [shoddy:masterful:0.5]"
    )
    begin, quarter, half, sixth, end = periods(prompt, 100)
    assert begin == (0, "fantasy landscape with a mountain and an oak in foreground shoddy")
    assert quarter == (25, "fantasy landscape with a lake and an oak in foreground in background shoddy")
    assert half == (50, "fantasy landscape with a lake and an oak in foreground in background masterful")
    assert sixth == (60, "fantasy landscape with a lake and an oak in background masterful")
    assert end == (75, "fantasy landscape with a lake and a christmas tree in background masterful")


@pytest.mark.parametrize(
    "prompt",
    ["[a]", "[a:b]", "[a:b:c]", "[a:b:c:3]", "[a|b:3]", "(a|b)", "a|b:3", r"\[a:b:3]", r"[a:b:3\]", "[a:(3)]", "[a:-]"],
)
def test_what_is_none_of_these_stays_as_it_is(prompt):
    assert not changes(prompt)
    assert periods(prompt, 10) == [(0, prompt)]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("[a:b:-1]", [(0, "b")]),
        ("[a:b:0]", [(0, "b")]),
        ("[a:b:20]", [(0, "a")]),
        ("[a:b:1.0]", [(0, "a")]),
        ("[a:b:0.25]", [(0, "a"), (2, "b")]),
        (r"[a\:b:c\|d:3]", [(0, r"a\:b"), (3, r"c\|d")]),
        ("([a:b:3]:1.2)", [(0, "(a:1.2)"), (3, "(b:1.2)")]),
        ("[[a|b]:c:2]", [(0, "a"), (1, "b"), (2, "c")]),
        ("[a:a:3]", [(0, "a")]),
    ],
)
def test_numbers_escapes_and_nesting(prompt, expected):
    assert periods(prompt, 10) == expected


@given(PLAIN, PLAIN, PLAIN, st.integers(1, 30), st.integers(0, 30))
def test_a_count_is_the_share_of_the_steps_that_it_is(before, after, rest, steps, count):
    counted = periods(f"{rest}[{before}:{after}:{count}]", steps)
    assert {text for _, text in counted} <= {rest + before, rest + after}
    switched = rest + (before if count >= steps else after)
    assert counted[-1][1] == last(f"{rest}[{before}:{after}:{count}]", steps) == switched
    if before != after and 0 < count < steps:
        assert counted == [(0, rest + before), (count, rest + after)]
        shared = periods(f"{rest}[{before}:{after}:{(count + 0.5) / steps:.6f}]", steps)
        assert shared == counted


@given(ANY, st.integers(1, 12))
def test_every_text_is_read_and_periods_differ_from_their_neighbours(prompt, steps):
    found = periods(prompt, steps)
    assert found[0][0] == 0
    assert all(a[0] < b[0] < steps and a[1] != b[1] for a, b in pairwise(found))
    assert found[-1][1] == last(prompt, steps)
    if not changes(prompt):
        assert found == [(0, prompt)]


def test_long_and_deep_prompts_are_read_at_once_or_refused():
    assert periods("[a:b:2] " * 2500, 1000)[1][0] == 2
    assert periods(f"[a:b:{'9' * 5000}]", 10) == [(0, f"[a:b:{'9' * 5000}]")]
    assert periods("[a|b" * 50 + "]" * 50 + "x" * 20_000, 10)
    with pytest.raises(BadInput, match="more than 100 brackets at once"):
        periods("[" * (DEEPEST + 1), 10)
    with pytest.raises(BadInput, match="more than 100 different texts in 200 steps"):
        periods("".join(f"[{n}:{n}]" for n in range(150)), 200)
