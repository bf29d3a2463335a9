"""The grammar of prompts: A1111's documented examples, and what holds for every text."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfumato.picture import BadInput
from sfumato.recipe import prompt as grammar
from sfumato.recipe.prompt import LARGEST, literal, plain

DOCUMENTED = {
    "normal text": [("normal text", 1)],
    "an (important) word": [("an ", 1), ("important", 1.1), (" word", 1)],
    "(unbalanced": [("unbalanced", 1.1)],
    r"\(literal\]": [("(literal]", 1)],
    "(unnecessary)(parens)": [("unnecessaryparens", 1.1)],
    "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).": [
        ("a ", 1),
        ("house", 1.573),
        (" ", 1.1),
        ("on", 1),
        (" a ", 1.1),
        ("hill", 0.55),
        (", sun, ", 1.1),
        ("sky", 1.4641),
        (".", 1.1),
    ],
}
LETTERS = st.text(st.characters(blacklist_characters="()[]\\", blacklist_categories=["Cs"]), min_size=1).filter(
    lambda text: "BREAK" not in text
)


def parse(prompt: str) -> list[list[tuple[str, float]]]:
    return [list(part) for part in grammar.parse(prompt)]


WORDS = st.text("abc ,", min_size=1)
NUMBERS = st.floats(0.25, 2).map(lambda number: round(number, 3))


@pytest.mark.parametrize("prompt", DOCUMENTED)
def test_a1111_s_documented_examples(prompt):
    [part] = parse(prompt)
    assert [text for text, _ in part] == [text for text, _ in DOCUMENTED[prompt]]
    assert [weight for _, weight in part] == pytest.approx([weight for _, weight in DOCUMENTED[prompt]])


@pytest.mark.parametrize(
    ("prompt", "part"),
    [
        ("", []),
        ("()", []),
        ("((a))", [("a", 1.1 * 1.1)]),
        ("[a]", [("a", 1 / 1.1)]),
        ("[unclosed", [("unclosed", 1 / 1.1)]),
        ("[(a:1.5)]", [("a", 1.5 / 1.1)]),
        ("(a: 1.5 )", [("a", 1.5)]),
        ("(a:.5)", [("a", 0.5)]),
        ("(a:-1)", [("a", -1.0)]),
        ("a:1.5)", [("a:1.5)", 1)]),
        ("a)] b", [("a)] b", 1)]),
        ("[a:1.5]", [("a:1.5", 1 / 1.1)]),
        ("(a:b)", [("a:b", 1.1)]),
        ("(a:1.2.3)", [("a:1.2.3", 1.1)]),
        ("(a:1.0) b", [("a b", 1.0)]),
        ("([a)b]", [("a", 1.0), ("b", 1 / 1.1)]),
        (r"\\(a\\)", [("\\", 1), ("a\\", 1.1)]),
        (r"one\more", [("onemore", 1)]),
    ],
)
def test_brackets_weights_and_escapes(prompt, part):
    [found] = parse(prompt)
    assert found == [(text, pytest.approx(weight)) for text, weight in part]


def test_break_begins_a_part_and_brackets_reach_across_it():
    assert parse("a BREAK  b") == [[("a", 1.0)], [("b", 1.0)]]
    assert parse("(a BREAK b:2) c") == [[("a", 2.0)], [("b", 2.0), (" c", 1.0)]]
    assert parse("BREAK a") == [[], [("a", 1.0)]]
    assert parse("a BREAKFAST, break") == [[("a BREAKFAST, break", 1.0)]]


@given(LETTERS)
def test_text_without_brackets_is_itself(text):
    assert parse(text) == [[(text, 1.0)]]
    assert plain(text) == text


@given(st.text(st.sampled_from("ab ()[]\\:.1BREAK\n") | st.characters(blacklist_categories=["Cs"])))
def test_every_text_parses_and_can_be_meant_literally(text):
    assert all(weight > 0 for part in parse(text.replace("-", "")) for _, weight in part)
    assert parse(literal(text)) == ([[(text, 1.0)]] if text else [[]])


@given(st.lists(NUMBERS, min_size=1, max_size=5), WORDS, WORDS)
def test_nested_weights_multiply_and_leave_their_neighbours_alone(weights, inside, after):
    prompt = "(" * len(weights) + inside + "".join(f":{weight})" for weight in weights) + after
    [part] = parse(prompt)
    product = math.prod(weights)
    if product == 1:
        assert part == [(inside + after, 1.0)]
    else:
        assert part == [(inside, pytest.approx(product)), (after, 1.0)]


@given(st.integers(1, 20), st.integers(1, 20), WORDS)
def test_a_pair_of_brackets_is_one_point_one_and_square_ones_undo_it(round_ones, square_ones, word):
    [[(text, weight)]] = parse("(" * round_ones + "[" * square_ones + word + "]" * square_ones + ")" * round_ones)
    assert (text, weight) == (word, pytest.approx(1.1 ** (round_ones - square_ones)))


def test_plain_text_for_readers_without_weights():
    assert plain(r"a (red:1.6) [hat] BREAK with \(brackets\)") == "a red hat with (brackets)"


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("a (red:101) hat", "gives 'red' the weight 101"),
        ("(red:-1000)", "the weight -1000"),
        ("(a:" + "9" * 400 + ")", "the weight inf"),
        ("(" * 60 + "a", "escape brackets"),
        ("(" * 10_000 + "a", "opens more than 100 brackets at once"),
        ("[" * 10_000, "opens more than 100 brackets at once"),
    ],
)
def test_what_is_too_much_is_one_sentence(prompt, said):
    with pytest.raises(BadInput, match=r"^[^\n]*$") as refused:
        parse(prompt)
    assert said in str(refused.value)
    assert parse(f"(a:{LARGEST:g})") == [[("a", LARGEST)]]
