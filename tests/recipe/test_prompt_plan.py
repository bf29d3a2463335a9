"""One parse of a prompt: what it asks for at each step, and what only other tools understand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfumato.picture import BadInput
from sfumato.recipe.prompt import literal, parse, plain, plan_of


def test_a_plan_says_what_is_asked_for_at_each_step():
    plan = plan_of("a [boat:(hat:1.5):0.5] BREAK sea AND [red|blue] :0.5", 4)
    boat, colour = plan.conjuncts
    assert (boat.weight, colour.weight) == (1.0, 0.5)
    assert [period.first for period in boat.periods] == [0, 2]
    assert boat.at(1) == ((("a boat", 1.0),), (("sea", 1.0),))
    assert boat.at(3) == ((("a ", 1.0), ("hat", 1.5)), (("sea", 1.0),))
    assert [colour.at(step)[0][0][0].strip() for step in range(4)] == ["red", "blue", "red", "blue"]
    assert plan.firsts == (0, 1, 2, 3)
    assert plan.changing
    assert plan.caption == "a hat sea and blue"
    assert hash(plan) == hash(plan_of(plan.prompt, 4))


def test_a_plain_prompt_is_one_text_that_stands_still():
    plan = plan_of("a boat", 20)
    assert [each.periods[0].parts for each in plan.conjuncts] == [parse("a boat")]
    assert (plan.firsts, plan.texts, plan.changing, plan.caption) == ((0,), (parse("a boat"),), False, "a boat")


def test_in_a_negative_prompt_and_is_a_word():
    assert len(plan_of("rain AND snow", negative=True).conjuncts) == 1
    assert plan_of("rain AND snow", negative=True).caption == "rain AND snow"


def test_a_caption_leaves_out_what_is_asked_away():
    assert plan_of("a boat AND rain :-1").caption == "a boat"


@pytest.mark.parametrize(
    "prompt",
    [
        "a boat <lora:ship:0.8>",
        "<lyco:ship>",
        "(<hypernet:anime:1>:1.2)",
        "embedding:bad-hands",
        "a boat, Embedding:ship, sea",
        "a [boat:<lora:ship:1>:0.5]",
        "a boat AND <lora:ship:1>",
    ],
)
def test_words_of_other_tools_are_refused_by_name_until_they_work(prompt):
    for negative in (False, True):
        with pytest.raises(BadInput, match=r"lora:ship|lyco:ship|hypernet:anime|mbedding:") as caught:
            plan_of(prompt, 4, negative=negative)
        assert "\n" not in str(caught.value)
    assert plan_of(literal(prompt)).caption == prompt


@pytest.mark.parametrize("prompt", ["a <cat> hat", "a < b : c", "my embedding: a boat", "lora:x", "an embedding"])
def test_what_only_looks_like_it_is_said_as_it_stands(prompt):
    assert plan_of(prompt).caption == prompt


@given(st.text("ab:<>[](){}\\ lora,embdig|AND", max_size=40))
def test_a_literal_prompt_says_its_text(text):
    [conjunct] = plan_of(literal(text)).conjuncts
    assert plain(literal(text)) == text
    assert "".join(words for part in conjunct.at(0) for words, _ in part) == text
